"""`fleetlog worker`: one worker process in the foreground."""

import argparse

from infra.cli.command import Commands, add_command
from infra.settings import Settings


def add(commands: Commands) -> None:
    command = add_command(
        commands,
        "worker",
        "run the live views in this process until it is stopped",
        "FLEETLOG_VIEWS=device_state,telemetry fleetlog worker --index 0",
        _run,
    )
    command.add_argument(
        "--index",
        type=int,
        default=0,
        help="number of this worker among its like; its name in the consumer groups and its metrics port follow from it",
    )


def _run(options: argparse.Namespace, settings: Settings) -> int:
    from infra import logging, worker

    logging.configure(f"worker-{options.index}", settings.log_level)
    return worker.run(settings, options.index)
