"""`fleetlog authority`: one authority process in the foreground."""

import argparse

from infra.cli.command import Commands, add_command, fail
from infra.settings import Settings


def add(commands: Commands) -> None:
    command = add_command(
        commands,
        "authority",
        "Run the process that issues the devices' certificates, keeps the certificate ledger, and serves both ledger and "
        "revocation lists to everybody. A second one, with another --index and FLEETLOG_AUTHORITY_PORT, takes over when the "
        "first is gone; both need the same data_dir/pki.",
        "fleetlog authority   # then: curl http://127.0.0.1:8086/ledger/checkpoint",
        _run,
    )
    command.add_argument(
        "--index",
        type=int,
        default=0,
        help="number of this process among its like; its name in the decider's group follows from it",
    )


def _run(options: argparse.Namespace, settings: Settings) -> int:
    """Run until a signal asks to stop. Exit code 2: the port is taken, or a key or setting is wrong; 3: the keys' keeper
    does not answer."""
    from connectors.http.server import PortTaken
    from connectors.ports import Away
    from infra import authority, logging

    logging.configure(f"authority-{options.index}" if options.index else "authority", settings.log_level)
    try:
        return authority.run(settings, options.index)
    except PortTaken as error:
        return fail(str(error), 2)
    except Away as error:
        return fail(str(error), 3)
