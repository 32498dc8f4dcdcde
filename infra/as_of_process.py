"""The process that an ingress asks about times in the past, from settings."""

import sys

from connectors.as_of_process import AsOfProcess
from infra.settings import Settings, child_environment
from projections.catalogue import CATALOGUE

SECONDS = 120.0
"""That an answer may take: of a fleet without snapshots the whole log is folded."""


def process(settings: Settings) -> AsOfProcess:
    command = (sys.executable, "-P", "-m", "infra.as_of_server")
    topics = {view.name: view.topics for view in CATALOGUE}
    return AsOfProcess(command, child_environment(settings.environment()), topics, SECONDS)
