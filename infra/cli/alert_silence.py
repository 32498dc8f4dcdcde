"""`fleetlog alert silence`, `unsilence`, `silences`: who is to hear nothing for a time."""

import argparse
import time
from typing import TYPE_CHECKING

from infra.cli.alerting import actor, aligned, answered, with_json
from infra.cli.command import Commands, add_command, duration, fail, print_json
from infra.settings import Settings

if TYPE_CHECKING:
    from schemas.rule_messages import Matcher

SIGNS = {"!=~": "not_glob", "=~": "glob", "!=": "not_equal", "=": "equal"}
DEFAULT_HOURS = 2


def add(actions: Commands) -> None:
    silence = add_command(
        actions,
        "silence",
        "Notify nobody of an alert (ID), or of all alerts that match (--match, all of them), for a time. An alert that is "
        "silenced goes on; what is over the silence is told again.",
        'fleetlog alert silence --match rule_id=too-hot --match "device_id=~greenhouse-*" --for 2h --comment "repairs"',
        answered(_silence),
    )
    silence.add_argument("id", nargs="?", help="the alert's id, or an unambiguous beginning of it")
    silence.add_argument(
        "--match",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a label (rule_id, device_id, severity, group, mode, or one of the rule's): = is, != is not, "
        "=~ fits the pattern, !=~ does not; patterns have *, ? and [abc]",
    )
    silence.add_argument("--for", dest="seconds", type=duration, metavar="DURATION", help=f"for so long ({DEFAULT_HOURS}h)")
    silence.add_argument("--name", metavar="ID", help="with --match: the silence's id (default: a new one)")
    silence.add_argument("--comment", metavar="TEXT", help="why; needed with --match")
    unsilence = add_command(
        actions,
        "unsilence",
        "End a silence, by its id, or that of an alert, by the alert's.",
        "fleetlog alert unsilence night-shift",
        answered(_unsilence),
    )
    unsilence.add_argument("id", help="the silence's id, or the alert's")
    unsilence.add_argument("--comment", metavar="TEXT", help="why")
    listed = add_command(
        actions, "silences", "The silences that count or will.", "fleetlog alert silences --all", answered(_list)
    )
    listed.add_argument("--all", action="store_true", help="also those that are over")
    with_json(silence, unsilence, listed)


def matcher(text: str) -> "Matcher":
    """A matcher such as severity=info or device_id=~green*.

    Raises:
        BadFiles: it is none.
    """
    from infra.alerting.files import BadFiles
    from schemas.rule_messages import Matcher

    at, sign = min(((text.find(sign), sign) for sign in SIGNS if sign in text), default=(-1, ""), key=lambda one: one[0])
    if at < 1:
        raise BadFiles([f"--match {text}: is none of NAME=VALUE, NAME!=VALUE, NAME=~PATTERN, NAME!=~PATTERN"])
    return Matcher(name=text[:at], match=SIGNS[sign], value=text[at + len(sign) :])  # type: ignore[arg-type]


def _silence(options: argparse.Namespace, settings: Settings) -> int:
    from uuid import uuid4

    from infra.alerting.desk import Desk
    from infra.alerting.telling import rule_event
    from infra.cli.alert import tell

    if bool(options.id) == bool(options.match):
        return fail("name one alert, or --match what the alerts have", 2)
    if options.match and not options.comment:
        return fail("--comment: say why; who reads it wonders", 2)
    now = time.time_ns() // 1000
    until = now + round((options.seconds or DEFAULT_HOURS * 3600) * 1e6)
    with Desk(settings) as desk:
        if options.id:
            return tell(desk.silence_alert(options.id, until, options.comment, actor()), options.json)
        matchers = [matcher(text) for text in options.match]
        name = options.name or str(uuid4())
        event = desk.silence(name, matchers, (now, until), options.comment, actor())
    print_json(rule_event(event)) if options.json else print(f"{name}: {type(event).__name__}")
    return 0


def _unsilence(options: argparse.Namespace, settings: Settings) -> int:
    from infra.alerting.desk import Desk
    from infra.alerting.telling import rule_event
    from infra.cli.alert import tell

    with Desk(settings) as desk:
        if options.id not in desk.rules().silences:
            return tell(desk.unsilence_alert(options.id, options.comment, actor()), options.json)
        event = desk.end_silence(options.id, options.comment, actor())
    print_json(rule_event(event)) if options.json else print(f"{options.id}: {type(event).__name__}")
    return 0


def _list(options: argparse.Namespace, settings: Settings) -> int:
    from infra.alerting.desk import Desk
    from infra.alerting.telling import silence_standing

    now = time.time_ns() // 1000
    with Desk(settings) as desk:
        found = [silence_standing(one, now) for _, one in sorted(desk.rules().silences.items())]
    shown = [one for one in found if options.all or one["state"] != "expired"]
    if options.json:
        print_json(shown)
        return 0
    signs = {kind: sign for sign, kind in SIGNS.items()}
    rows = [("SILENCE", "STATE", "UNTIL", "BY", "MATCHES", "")]
    for one in shown:
        words = " ".join(f"{m['name']}{signs[m['match']]}{m['value']}" for m in one["matchers"])
        rows.append((one["silence_id"], one["state"], one["ends_at"], one["actor"], words, one["comment"]))
    print("\n".join(aligned(rows)) if shown else "there is no silence")
    return 0
