"""`fleetlog as-of`: a device, or the fleet, at a time in the past, as it was known at another."""

import argparse
import re
import sys
from typing import TYPE_CHECKING, Any

from infra.cli.command import Commands, add_command, fail, print_json
from infra.settings import Settings

if TYPE_CHECKING:
    from infra.as_of import Opened
    from projections.as_of import Moment
    from projections.projection import KeyedProjection, RowProjection

EXAMPLE = "fleetlog as-of -2h --device greenhouse-1"
SUMMARY = (
    "a device, or the whole fleet, at a time in the past (by the devices' clocks), as it was known at another: the fold of "
    "exactly the records that had happened and were received by then"
)
LIKE_A_NUMBER = re.compile(r"^-\d+(\.\d+)?(ms|s|m|h|d|w)?$")


def add(commands: Commands) -> None:
    command = add_command(commands, "as-of", SUMMARY, EXAMPLE, run)
    arguments(command)
    command.add_argument("--view", default="device_state", metavar="NAME", help="the view (default: device_state)")


def arguments(command: argparse.ArgumentParser) -> None:
    """What is asked of a view, whichever command names the view."""
    # argparse takes what begins with a dash for an option, unless it looks like a number; -2h does not by itself.
    command._negative_number_matcher = LIKE_A_NUMBER
    command.add_argument(
        "time",
        metavar="TIME",
        help="RFC 3339 with a zone, a date (its first moment, UTC), now, or back from now: -90s, -2h, -1d",
    )
    command.add_argument("--known-at", metavar="TIME", help="only what was received by then counts (default: now)")
    command.add_argument("--device", "--key", dest="key", metavar="ID", help="this device, or key of the view, alone")
    command.add_argument(
        "--everywhere", action="store_true", help="look for the device in every partition, also where its id does not lead"
    )
    command.add_argument("--json", action="store_true", help="print JSON; of many documents or rows one a line")


def run(options: argparse.Namespace, settings: Settings) -> int:
    """`options.view` names the view."""
    from connectors.corrections import BrokenCorrections
    from connectors.ports import Away
    from infra import as_of
    from projections.as_of import Untimed
    from projections.catalogue import UnknownView, find
    from projections.projection import KeyedProjection
    from schemas.moments import BadMoment
    from streams.as_of import BeforeTheLog
    from streams.snapshotting import LogTooShort

    try:
        view, moment = find(options.view), as_of.moment(options.time, options.known_at)
        with as_of.opened(settings) as opened:
            if not isinstance(view, KeyedProjection):
                return _rows(opened, view, moment, options)
            return _fleet(opened, view, moment, options) if options.key is None else _one(opened, view, moment, options)
    except (UnknownView, BadMoment) as error:
        return fail(str(error), 2)
    except Away as away:
        return fail(str(away), 3)
    except (BeforeTheLog, LogTooShort, Untimed, BrokenCorrections) as error:
        return fail(str(error), 1)


def _one(opened: "Opened", view: "KeyedProjection", moment: "Moment", options: argparse.Namespace) -> int:
    from projections.canonical import document_leaf
    from projections.updates import payloads

    document, told = opened.documents(view).document(options.key, moment, options.everywhere)
    _warn(told.unusable)
    if document is None:
        return fail(f"{view.name} has nothing of {options.key} {_when(moment)}", 1)
    fields = payloads(document)
    if options.json:
        about = {"view": view.name, "key": options.key, **_times(moment), "hash": document_leaf(options.key, document).hex()}
        print_json({**about, "fields": fields, "snapshot": told.snapshot, "records": told.records})
    else:
        print(f"{view.name} of {options.key} {_when(moment)}")
        for name in sorted(fields):
            print(f"  {name:<28} {_line(fields[name])}")
    return 0


def _fleet(opened: "Opened", view: "KeyedProjection", moment: "Moment", options: argparse.Namespace) -> int:
    from projections.canonical import document_leaf
    from projections.updates import payloads

    documents, told = opened.documents(view).documents(moment)
    _warn(told.unusable)
    count = 0
    for key, document in documents:
        count += 1
        fields = payloads(document)
        if options.json:
            print(_line({"key": key, "hash": document_leaf(key, document).hex(), "fields": fields}))
        else:
            print(f"{key:<28} {_line(fields)[:160]}")
    based = "" if told.snapshot is None else f", snapshot {told.snapshot}"
    print(f"{view.name} {_when(moment)}: {count:,} documents ({told.records:,} records read{based})", file=sys.stderr)
    return 0


def _rows(opened: "Opened", view: "RowProjection", moment: "Moment", options: argparse.Namespace) -> int:
    count = 0
    for _, frame in opened.rows(view).frames(moment, options.key):
        count += frame.height
        for row in frame.iter_rows(named=True):
            print(_line(row))
    print(f"{view.name} {_when(moment)}: {count:,} rows", file=sys.stderr)
    return 0


def _warn(unusable: list[str]) -> None:
    for one in dict.fromkeys(unusable):
        print(f"fleetlog: a snapshot is not used: {one}", file=sys.stderr)


def _when(moment: "Moment") -> str:
    from schemas.moments import text

    return f"at {text(moment.at)}, as known at {text(moment.known)}"


def _times(moment: "Moment") -> dict[str, str]:
    from schemas.moments import text

    return {"at": text(moment.at), "known_at": text(moment.known)}


def _line(value: Any) -> str:
    import msgspec

    return msgspec.json.encode(value).decode()
