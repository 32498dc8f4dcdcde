"""`fleetlog alert`: alerts, and what people do about them."""

import argparse
from typing import TYPE_CHECKING, Any

from infra.cli import alert_silence
from infra.cli.alerting import actor, aligned, answered, with_json
from infra.cli.command import Commands, add_command, add_group, print_json
from infra.settings import Settings

if TYPE_CHECKING:
    from streams.alerts.listing import Alert

ID_HELP = "the alert's id, or an unambiguous beginning of it"
STATES = ("pending", "firing", "acknowledged", "resolved")


def add(commands: Commands) -> None:
    actions = add_group(
        commands,
        "alert",
        "alerts: list, show, ack, silence, unsilence, comment, explain",
        "fleetlog alert list --state firing",
    )
    _add_reading(actions)
    _add_doing(actions)
    alert_silence.add(actions)


def _add_reading(actions: Commands) -> None:
    listed = add_command(
        actions,
        "list",
        "The open alerts, the newest first; with --all, or a --state, also others.",
        "fleetlog alert list --severity critical --json",
        answered(_list),
    )
    listed.add_argument("--all", action="store_true", help="also those that are resolved, and shadows")
    listed.add_argument("--state", choices=STATES, help="only those in this state")
    listed.add_argument("--severity", choices=("critical", "warning", "info"), help="only those of this severity")
    listed.add_argument("--rule", metavar="ID", help="only those of this rule")
    listed.add_argument("--device", metavar="ID", help="only those of this device")
    show = add_command(
        actions, "show", "An alert: all that is known of it.", "fleetlog alert show 5f0c1d2e", answered(_show)
    )
    explain = add_command(
        actions,
        "explain",
        "How an alert came to be what it is: every event of it, with the record that caused it and its position in the log.",
        "fleetlog alert explain 5f0c1d2e",
        answered(_explain),
    )
    for command in (show, explain):
        command.add_argument("id", help=ID_HELP)
    with_json(listed, show, explain)


def _add_doing(actions: Commands) -> None:
    acknowledge = add_command(
        actions,
        "ack",
        "Say that somebody takes care of an alert: it is escalated and repeated no more.",
        'fleetlog alert ack 5f0c1d2e --comment "on my way"',
        answered(_acknowledge),
    )
    remark = add_command(
        actions, "comment", "Remark on an alert.", 'fleetlog alert comment 5f0c1d2e "fan replaced"', answered(_comment)
    )
    for command in (acknowledge, remark):
        command.add_argument("id", help=ID_HELP)
    acknowledge.add_argument("--comment", metavar="TEXT", help="a word on it")
    remark.add_argument("text", help="the remark")
    with_json(acknowledge, remark)


def _list(options: argparse.Namespace, settings: Settings) -> int:
    from infra.alerting.desk import Desk
    from infra.alerting.telling import alert

    with Desk(settings) as desk, desk.alerts() as alerts:
        found = [one for one in alerts.values() if _wanted(options, one)]
    found.sort(key=lambda one: (-one.since, one.alert_id))
    if options.json:
        print_json([alert(one) for one in found])
        return 0
    print("\n".join(_table(found)) if found else "there is no such alert")
    return 0


def _wanted(options: argparse.Namespace, alert: "Alert") -> bool:
    shown = options.all or options.state or alert.state != "resolved"
    return bool(
        shown
        and (options.all or alert.mode == "live")
        and options.state in (None, alert.state)
        and options.severity in (None, alert.severity)
        and options.rule in (None, alert.rule_id)
        and options.device in (None, alert.device_id)
    )


def _table(found: list["Alert"]) -> list[str]:
    from schemas.moments import text

    rows = [("ALERT", "STATE", "SEVERITY", "RULE", "ABOUT", "VALUE", "SINCE", "")]
    for one in found:
        marks = [f"level {one.level}"] if one.level else []
        marks += ["silenced"] if one.silenced else []
        marks += ["flapping"] if one.flapping else []
        marks += ["shadow"] if one.mode == "shadow" else []
        about = one.device_id or one.home_key
        value = "" if one.value is None else f"{one.value:g}"
        row = (one.alert_id[:8], one.state, one.severity, one.rule_id, about, value, text(one.since), ", ".join(marks))
        rows.append(row)
    return aligned(rows)


def _show(options: argparse.Namespace, settings: Settings) -> int:
    from infra.alerting.desk import Desk
    from infra.alerting.telling import alert
    from streams.alerts.listing import listed

    with Desk(settings) as desk:
        events = desk.alert_events(options.id, thorough=True)
    (found,) = listed(placed.event for placed in events).values()
    told = alert(found)
    if options.json:
        print_json(told)
        return 0
    for name, value in told.items():
        if value not in (None, [], {}, ""):
            print(f"{name:<16} {_plain(value)}")
    return 0


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}={one}" for name, one in value.items())
    if isinstance(value, list):
        return "; ".join(one if isinstance(one, str) else f"{one['actor']} at {one['at']}: {one['text']}" for one in value)
    return str(value)


def _explain(options: argparse.Namespace, settings: Settings) -> int:
    from infra.alerting.desk import Desk
    from infra.alerting.telling import alert_event
    from schemas.alert_messages import AlertEvent

    with Desk(settings) as desk:
        placed = desk.alert_events(options.id, thorough=True)
    told = [{**alert_event(one.event), "position": one.place} for one in placed if isinstance(one.event, AlertEvent)]
    if options.json:
        print_json(told)
        return 0
    first = told[0]
    print(f"alert {first['alert_id']} of rule {first['rule_id']} version {first['rule_version']} about {first['home_key']}")
    for one, where in zip(told, placed, strict=True):
        print(f"{one['number']:>4}  {one['at']}  {one['event']:<18} {_why(one)}\n      {where.place}")
    return 0


def _why(told: dict[str, Any]) -> str:
    cause = told["cause"]
    came = "a timer" if told["actor"] == "engine" else told["actor"]
    by = f"{cause['topic']}/{cause['partition']}/{cause['offset']}" if cause else came
    value = "" if told["value"] is None else f", value {told['value']:g}"
    muted = f", nobody is notified: {told['muted_by']}" if told["muted_by"] else ""
    return f"by {by}{value}{muted}"


def _acknowledge(options: argparse.Namespace, settings: Settings) -> int:
    from infra.alerting.desk import Desk

    with Desk(settings) as desk:
        return tell(desk.acknowledge(options.id, options.comment, actor()), options.json)


def _comment(options: argparse.Namespace, settings: Settings) -> int:
    from infra.alerting.desk import Desk

    with Desk(settings) as desk:
        return tell(desk.comment(options.id, options.text, actor()), options.json)


def tell(event: Any, as_json: bool) -> int:
    """What became of a command about an alert."""
    from infra.alerting.telling import alert_event

    if as_json:
        print_json(alert_event(event))
    else:
        print(f"{event.alert_id}: {type(event).__name__}")
    return 0
