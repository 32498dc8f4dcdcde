"""`fleetlog rule backtest`, `why`: rules on the log of the past."""

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra.cli.alerting import aligned, answered, with_json
from infra.cli.as_of import LIKE_A_NUMBER
from infra.cli.command import Commands, add_command, duration, fail, print_json
from infra.settings import Settings

if TYPE_CHECKING:
    from streams.rules.ports import Place
    from streams.rules.why import Step

TIME = "RFC 3339 with a zone, a date (its first moment, UTC), now, or back from now (-2h)"
SHOWN = 10  # incidents of a list; --json has all


def add(actions: Commands) -> None:
    backtest = add_command(
        actions,
        "backtest",
        "Say what rules would have done in a time of the past, by the code that runs live and by what was known then: "
        "incidents, notifications, flaps, time firing, top devices, and how that differs from what was in force then. "
        "Nothing is written and nobody notified.",
        "fleetlog rule backtest rules/too-hot.yaml --from -7d",
        answered(_backtest),
    )
    backtest.add_argument("files", nargs="+", type=Path, metavar="FILE", help="rules (YAML or JSON), or folders of them")
    backtest.add_argument("--from", dest="begins", required=True, metavar="T", help=TIME)
    backtest.add_argument("--to", dest="ends", default="now", metavar="T", help="until before this time (default now)")
    why = add_command(
        actions,
        "why",
        "Say why a rule raised an alert for a device, or did not: what it made of each of the device's rows, and what "
        "came of it, with the positions in the log.",
        "fleetlog rule why too-hot greenhouse-1 --at -2h",
        answered(_why),
    )
    why.add_argument("rule", help="the rule's id")
    why.add_argument("device", help="the device's id, or the home key of an alert about no single one")
    why.add_argument("--at", default="now", metavar="T", help=f"up to this time (default now): {TIME}")
    why.add_argument("--last", type=duration, default=3600.0, metavar="DURATION", help="of so long before it (default 1h)")
    with_json(backtest, why)
    for command in (backtest, why):
        command._negative_number_matcher = LIKE_A_NUMBER  # -2h is a time, no option


def _backtest(options: argparse.Namespace, settings: Settings) -> int:
    from infra.alerting.files import rules_of
    from infra.alerting.language import check
    from infra.rules_past import run_backtest
    from schemas.moments import moment_of
    from streams.rules.ports import RuleFailed

    now = time.time_ns() // 1000
    begins, ends = moment_of(options.begins, now), moment_of(options.ends, now)
    if begins >= ends:
        return fail(f"--to {options.ends} is not after --from {options.begins}", 2)
    rules = rules_of(options.files, check())
    try:
        found = run_backtest(settings, rules, (begins, ends))
    except RuleFailed as failed:
        return fail(str(failed), 1)
    from infra.alerting.telling import backtested

    told = backtested(found)
    print_json(told) if options.json else print("\n".join(_table([rule.id for rule in rules], told)))
    return 0


def _table(rules: list[str], told: dict[str, Any]) -> list[str]:
    lines = [f"{', '.join(rules)} from {told['begins']} to {told['ends']}"]
    lines += aligned(
        [
            ("incidents", f"{told['incidents']:,}", f"{told['open']:,} still open at the end"),
            ("notifications", f"{told['notifications']:,}", "before they are grouped"),
            ("flaps", f"{told['flaps']:,}", ""),
            ("time firing", f"{told['firing_seconds']:,.0f} s", "of all incidents together"),
        ]
    )
    if told["top"]:
        lines += [
            "",
            "most incidents:",
            *aligned([(f"  {one['home_key']}", f"{one['incidents']:,}") for one in told["top"]]),
        ]
    difference = told["difference"]
    if difference["both"] or difference["only_live"]:
        lines += ["", f"{difference['both']:,} of the incidents that were live then are the same"]
    for name, words in (("only_here", "not live then"), ("only_live", "live then, and not by this")):
        shown = difference[name][:SHOWN]
        if shown:
            lines += ["", f"{len(difference[name]):,} {words}:"]
            rows = [(f"  {o['fired_at']}", o["rule_id"], o["home_key"], o["resolved_at"] or "still open") for o in shown]
            lines += aligned(rows)
    return lines


def _why(options: argparse.Namespace, settings: Settings) -> int:
    import msgspec

    from infra.alerting.desk import Desk
    from infra.alerting.telling import step
    from infra.rules_past import run_why
    from schemas.moments import moment_of
    from schemas.rule_messages import RuleApplied
    from schemas.rules.document import Rule

    at = moment_of(options.at, time.time_ns() // 1000)
    with Desk(settings) as desk:
        events = [placed.event for placed in desk.history(options.rule)]
    applied = [event for event in events if isinstance(event, RuleApplied) and event.occurred_at <= at]
    if not applied:
        return fail(f"{options.rule} was not in force by {options.at}", 1)
    live = [event for event in applied if event.mode == "live"] or applied
    rule = msgspec.json.decode(live[-1].document, type=Rule)
    between = at - round(options.last * 1e6), at
    steps = run_why(settings, rule, options.device, between, live[-1].version)
    if options.json:
        print_json({"rule_id": rule.id, "version": live[-1].version, "steps": [step(one) for one in steps]})
        return 0
    print(f"{rule.id} version {live[-1].version}, {live[-1].mode}: {rule.when}")
    print("\n".join(aligned([_row(one) for one in steps])) if steps else "  nothing came of this device in this time")
    return 0


def _row(one: "Step") -> tuple[str, ...]:
    from schemas.moments import text

    value = "" if one.value is None else f"{one.value:g}"
    if one.event is not None:
        return ("  " + text(one.at), one.event, value, f"by {_place(one.cause)}" if one.cause else "by a timer")
    return ("  " + text(one.at), f"{one.says}, too late" if one.late else str(one.says), value, _place(one.place))


def _place(place: "Place | None") -> str:
    return "" if place is None else f"{place.topic}/{place.partition}/{place.offset}"
