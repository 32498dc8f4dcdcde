"""`fleetlog rule`: rules, from a file to the log and back."""

from infra.cli import rule_builtin, rule_change, rule_past, rule_show, rule_test
from infra.cli.command import Commands, add_group


def add(commands: Commands) -> None:
    actions = add_group(
        commands,
        "rule",
        "rules that alerts follow from: test, apply, shadow, disable, list, show, history, backtest, why, builtin",
        "fleetlog rule apply rules/too-hot.yaml",
    )
    rule_test.add(actions)
    rule_change.add(actions)
    rule_show.add(actions)
    rule_past.add(actions)
    rule_builtin.add(actions)
