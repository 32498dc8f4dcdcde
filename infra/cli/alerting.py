"""What the commands about rules and alerts share: who asks, how faults are told."""

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from infra.cli.command import Run, fail
from infra.settings import Settings

if TYPE_CHECKING:
    from connectors.alerting.port import By


def answered(run: Run) -> Run:
    """`run` with its failures told: 1 refused or not there, 2 a file or a word is wrong, 3 something does not answer."""

    def told(options: argparse.Namespace, settings: Settings) -> int:
        from connectors.ports import Away
        from infra.alerting.asking import Invalid, Refused, Unknown
        from infra.alerting.files import BadFiles
        from schemas.messages import Foreign
        from schemas.moments import BadMoment
        from schemas.wire import UnknownSchema

        try:
            return run(options, settings)
        except Away as away:
            return fail(str(away), 3)
        except BadFiles as bad:
            return fail("nothing is changed:\n" + "\n".join(f"  {fault}" for fault in bad.faults), 2)
        except (BadMoment, Invalid) as bad:
            return fail(str(bad), 2)
        except (Refused, Unknown) as refused:
            return fail(str(refused), 1)
        except (Foreign, UnknownSchema) as error:
            return fail(f"the log holds a record that can't be read: {error}", 1)

    return told


def with_json(*commands: argparse.ArgumentParser) -> None:
    for command in commands:
        command.add_argument("--json", action="store_true", help="print JSON")


def actor() -> "By":
    """Who gives a command here."""
    from connectors.alerting.port import By
    from infra.drift import operator

    return By(operator())


def aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Lines of a table, each column as wide as its widest cell."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
