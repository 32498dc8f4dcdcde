"""`fleetlog rule list`, `show`, `history`: rules as the log has them."""

import argparse
from typing import TYPE_CHECKING, Any

from infra.cli.alerting import aligned, answered, with_json
from infra.cli.command import Commands, add_command, fail, print_json
from infra.settings import Settings

if TYPE_CHECKING:
    from infra.alerting.standing import Placed


def add(actions: Commands) -> None:
    listed = add_command(
        actions,
        "list",
        "All rules: version, mode, whether they are in force, disabled or suspended, since when and by whom.",
        "fleetlog rule list",
        answered(_list),
    )
    show = add_command(
        actions,
        "show",
        "A rule's document, as it is applied: canonical JSON, one field a line.",
        "fleetlog rule show too-hot --version 2",
        answered(_show),
    )
    history = add_command(
        actions,
        "history",
        "What became of a rule: each version, who applied, disabled or suspended it, with the position in the log.",
        "fleetlog rule history too-hot",
        answered(_history),
    )
    for command in (show, history):
        command.add_argument("id", help="the rule's id")
    show.add_argument("--version", type=int, metavar="N", help="this version (default: the newest)")
    with_json(listed, show, history)


def _list(options: argparse.Namespace, settings: Settings) -> int:
    from infra.alerting.desk import Desk
    from infra.alerting.telling import rule_standing
    from schemas.moments import text

    with Desk(settings) as desk:
        rules = [standing for _, standing in sorted(desk.rules().rules.items())]
    if options.json:
        print_json([rule_standing(standing) for standing in rules])
        return 0
    rows = [("RULE", "MODE", "VERSION", "STATE", "SINCE", "BY")]
    for one in rules:
        state = one.state.replace("_", " ")
        rows.append((one.rule_id, one.mode, str(one.version), state, text(one.since), one.actor))
    print("\n".join(aligned(rows)) if rules else "there is no rule")
    return 0


def _show(options: argparse.Namespace, settings: Settings) -> int:
    import json

    from infra.alerting.desk import Desk

    with Desk(settings) as desk:
        documents = desk.rules().documents
    versions = [version for rule_id, version in documents if rule_id == options.id]
    if not versions:
        return fail(f"there is no rule {options.id}", 1)
    version = options.version or max(versions)
    if version not in versions:
        return fail(f"{options.id} has no version {version}; its newest is {max(versions)}", 1)
    document = json.loads(documents[options.id, version])
    print_json({"version": version, "document": document}) if options.json else print(json.dumps(document, indent=2))
    return 0


def _history(options: argparse.Namespace, settings: Settings) -> int:
    from infra.alerting.desk import Desk
    from infra.alerting.telling import rule_event

    with Desk(settings) as desk:
        placed = desk.history(options.id)
    if options.json:
        print_json([{**rule_event(one.event), "position": one.place} for one in placed])
        return 0
    print("\n".join(aligned([_row(one, rule_event(one.event)) for one in placed])))
    return 0


def _row(placed: "Placed", told: dict[str, Any]) -> tuple[str, ...]:
    detail = told.get("detail") or told.get("comment") or ""
    version, mode = str(told.get("version", "")), str(told.get("mode", ""))
    return (str(told["at"]), told["event"], version, mode, told["actor"], placed.place, detail)
