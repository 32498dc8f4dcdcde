"""`fleetlog rule builtin`: the rules that fleetlog brings along."""

import argparse
from typing import TYPE_CHECKING

from infra.cli.alerting import aligned, answered, with_json
from infra.cli.command import Commands, add_command, print_json
from infra.settings import Settings

if TYPE_CHECKING:
    from schemas.rules.document import Rule


def add(actions: Commands) -> None:
    builtin = add_command(
        actions,
        "builtin",
        "List the rules that fleetlog brings along; with an id, print its document, to be changed and applied. With --apply "
        "put them in force as they are: all of them, or those that are named. One of the same document that is in force "
        "already stays as it is; one of another document is replaced.",
        "fleetlog rule builtin device-offline certificate-expiry --apply",
        answered(_builtin),
    )
    builtin.add_argument("ids", nargs="*", metavar="ID", help="only these (default: all)")
    builtin.add_argument("--apply", action="store_true", help="put them in force")
    with_json(builtin)


def _builtin(options: argparse.Namespace, settings: Settings) -> int:
    from infra.alerting.asking import Unknown
    from infra.alerting.files import rules_of
    from infra.alerting.language import check
    from infra.builtin import RULES_FOLDER, builtin_documents

    documents = builtin_documents()
    if unknown := [name for name in options.ids if name not in documents]:
        raise Unknown(f"there is no built-in rule {unknown[0]}; there are {', '.join(documents)}")
    ids = list(dict.fromkeys(options.ids)) or list(documents)
    if options.ids and not options.apply and not options.json:
        print("\n".join(documents[name].rstrip() for name in ids))
        return 0
    rules = rules_of([RULES_FOLDER / f"{name}.yaml" for name in ids], check())
    if options.apply:
        from infra.cli.rule_change import put_in_force

        return put_in_force(rules, settings, options.json)
    _tell(rules, options.json)
    return 0


def _tell(rules: "list[Rule]", as_json: bool) -> None:
    import json

    from schemas.rules.document import canonical

    if as_json:
        print_json([json.loads(canonical(rule)) for rule in rules])
        return
    print("\n".join(aligned([("RULE", "SEVERITY", "INPUT", "RAISED WHEN"), *map(_row, rules)])))


def _row(rule: "Rule") -> tuple[str, ...]:
    return rule.id, rule.severity, rule.input, rule.description
