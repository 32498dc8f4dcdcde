"""The check of a rule, as the command line and HTTP make it before anything is written."""

from infra.alerting.files import Check
from schemas import contract as contracts
from schemas.rules.document import Rule


def check() -> Check:
    """What raises BadRule for a rule whose expressions or templates are wrong, by the contract as it is now."""
    from streams.rules.compiled import compile_rule

    contract = contracts.load()

    def checked(rule: Rule) -> None:
        compile_rule(rule, contract)

    return checked
