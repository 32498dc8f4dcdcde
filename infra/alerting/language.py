"""The check of a rule, as the command line and HTTP make it before anything is written."""

from infra.alerting.files import Check
from schemas import contract as contracts
from schemas.rules.document import Rule


def check() -> Check:
    """What raises BadRule for a rule whose expressions or templates are wrong, by the contract as it is now, or of an input
    that the engine does not evaluate: it would be taken, and never fire."""
    from schemas.rules.reading import BadRule
    from streams.rules.compiled import compile_rule
    from streams.rules.rows import TOPICS as ROWS

    contract = contracts.load()

    def checked(rule: Rule) -> None:
        compile_rule(rule, contract)
        about = rule.aggregate.of if rule.aggregate else rule.input
        if about not in ROWS:
            raise BadRule(f"input: rules of input {about} can't be turned on: the engine does not evaluate them yet")

    return checked
