"""`fleetlog rule apply`, `shadow`, `disable`: what changes which rules are in force."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from infra.cli.alerting import actor, aligned, answered, with_json
from infra.cli.command import Commands, add_command, print_json
from infra.settings import Settings

if TYPE_CHECKING:
    from schemas.messages import Event
    from schemas.rule_messages import RuleMode
    from schemas.rules.document import Rule

MODES = ("live", "shadow")
CHECKED = (
    "All files are checked first, by the contract and by CEL's own compiler; when one is wrong, or a rule is refused, "
    "nothing changes. The same document again changes nothing and is no new version."
)


def add(actions: Commands) -> None:
    apply = add_command(
        actions,
        "apply",
        f"Put rules in force, in all workers, without a restart. {CHECKED}",
        "fleetlog rule apply rules/ --json",
        answered(_apply),
    )
    apply.add_argument("files", nargs="+", type=Path, metavar="FILE", help="rules (YAML or JSON), or folders of them")
    apply.add_argument(
        "--expect", type=int, metavar="N", help="only if the newest version of the rule is N (0: if it is new); one file"
    )
    shadow = add_command(
        actions,
        "shadow",
        "Run rules in shadow: they are evaluated and their alerts are in the log, but nobody is notified. "
        f"A version in force goes on beside it; `apply` of the same file makes it live. {CHECKED}",
        "fleetlog rule shadow rules/too-hot.yaml",
        answered(_shadow),
    )
    shadow.add_argument("files", nargs="+", type=Path, metavar="FILE", help="rules (YAML or JSON), or folders of them")
    disable = add_command(
        actions,
        "disable",
        "Evaluate a rule no more, until it is applied again. Its open alerts are resolved.",
        'fleetlog rule disable too-hot --comment "sensors are being replaced"',
        answered(_disable),
    )
    disable.add_argument("id", help="the rule's id")
    disable.add_argument("--mode", choices=MODES, help="only its live version, or only its shadow (default: both)")
    disable.add_argument("--comment", metavar="TEXT", help="why")
    with_json(apply, shadow, disable)


def _apply(options: argparse.Namespace, settings: Settings) -> int:
    return _in_force(options, settings, "live")


def _shadow(options: argparse.Namespace, settings: Settings) -> int:
    return _in_force(options, settings, "shadow")


def _in_force(options: argparse.Namespace, settings: Settings, mode: "RuleMode") -> int:
    from infra.alerting.desk import Desk
    from infra.alerting.files import BadFiles, rules_of
    from infra.alerting.language import check

    rules = rules_of(options.files, check())
    if len(rules) > 1 and getattr(options, "expect", None) is not None:
        raise BadFiles(["--expect is for one rule"])
    with Desk(settings) as desk:
        events = desk.apply(rules, mode, actor(), [getattr(options, "expect", None)] * len(rules))
    _tell(events, options.json)
    return 0


def put_in_force(rules: "list[Rule]", settings: Settings, as_json: bool) -> int:
    """Apply rules that were checked, live, whatever version is in force."""
    from infra.alerting.desk import Desk

    with Desk(settings) as desk:
        events = desk.apply(rules, "live", actor(), [None] * len(rules))
    _tell(events, as_json)
    return 0


def _disable(options: argparse.Namespace, settings: Settings) -> int:
    from infra.alerting.desk import Desk

    with Desk(settings) as desk:
        events = desk.disable(options.id, options.mode, options.comment, actor())
    _tell(events, options.json)
    return 0


def _tell(events: Sequence["Event"], as_json: bool) -> None:
    from infra.alerting.telling import rule_event

    told = [rule_event(event) for event in events]
    if as_json:
        print_json({"changed": any(one["event"] != "RuleUnchanged" for one in told), "rules": told})
        return
    words = {"RuleApplied": "in force", "RuleDisabled": "disabled", "RuleUnchanged": "as it was"}
    for line in aligned([(one["rule_id"], one["mode"], f"version {one['version']}", words[one["event"]]) for one in told]):
        print(line)
