"""`fleetlog archiver`: the archiver process in the foreground."""

import argparse

from infra.cli.command import Commands, add_command, fail
from infra.settings import Settings


def add(commands: Commands) -> None:
    add_command(
        commands,
        "archiver",
        "Run the process that archives the log (FLEETLOG_ARCHIVE) every FLEETLOG_ARCHIVE_EVERY seconds, and lets the log "
        "lose what is old, archived and proven. One is enough; two do no harm.",
        "FLEETLOG_ARCHIVE=s3://bucket/fleet fleetlog archiver",
        _run,
    )


def _run(options: argparse.Namespace, settings: Settings) -> int:
    """Run until a signal asks to stop. Exit code 2: the metrics port is taken, or FLEETLOG_ARCHIVE names no place."""
    from infra import archiver, logging

    logging.configure("archiver", settings.log_level)
    try:
        return archiver.run(settings)
    except OSError as error:
        return fail(f"FLEETLOG_ARCHIVER_METRICS_PORT={settings.archiver_metrics_port}: {error}", 2)
