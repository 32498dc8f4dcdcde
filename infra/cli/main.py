"""The `fleetlog` command. Each command lives in a module of its own, which adds itself to the parser; heavy imports
happen only in the command that runs."""

import argparse
import logging
import sys
from collections.abc import Sequence

from infra.cli import (
    alert,
    archive,
    archiver,
    as_of,
    attest,
    authority,
    bench,
    ca,
    channel,
    chaos,
    decider,
    device,
    dlq,
    drill,
    explain,
    impact,
    ingress,
    ledger,
    principal,
    projection,
    reconcile,
    registry,
    replay,
    rule,
    schema,
    simulate,
    snapshot,
    stack,
    topics,
    trends,
    witness,
    worker,
)
from infra.settings import SettingError, load

COMMANDS = (
    stack,
    topics,
    schema,
    registry,
    ingress,
    authority,
    ledger,
    witness,
    principal,
    worker,
    device,
    dlq,
    explain,
    impact,
    simulate,
    reconcile,
    projection,
    attest,
    as_of,
    snapshot,
    archive,
    archiver,
    drill,
    replay,
    decider,
    rule,
    alert,
    channel,
    bench,
    chaos,
    ca,
    trends,
)

EXIT_CODES = """exit codes:
  0  done, and what was checked holds
  1  what was checked does not hold (a loss, a difference, an incompatible schema, an unhealthy part)
  2  the command line or a setting is wrong
  3  something that is needed does not answer (broker, Redis, ClickHouse, registry, ingress)
  130  interrupted
"""


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="fleetlog",
        description="Event-sourced stream pipeline for IoT fleets.",
        epilog=EXIT_CODES + "\nexample:\n  fleetlog up --detach && fleetlog simulate --for 60s && fleetlog reconcile",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for module in COMMANDS:
        module.add(commands)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    options = parser().parse_args(arguments)
    # Clients log each connection that they can't make; a command says itself what came of it. Processes that run on
    # configure their own log.
    logging.getLogger().addHandler(logging.NullHandler())
    try:
        return int(options.run(options, load()))
    except SettingError as error:
        print(f"fleetlog: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
