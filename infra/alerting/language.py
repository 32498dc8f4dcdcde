"""The check of a rule, as the command line and HTTP make it before anything is written."""

from infra.alerting.files import Check
from schemas import contract
from schemas.rules.document import Rule
from streams.rules.compiled import compile_rule


def check() -> Check:
    """What raises BadRule for a rule that can't be evaluated."""
    known = contract.load()

    def checked(rule: Rule) -> None:
        compile_rule(rule, known)

    return checked
