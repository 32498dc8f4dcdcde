"""The check of a rule, as the command line and HTTP make it before anything is written."""

from infra.alerting.files import Check
from schemas.rules.document import Rule, canonical


def check() -> Check:
    """What raises BadRule for a rule that can't be evaluated."""

    def checked(rule: Rule) -> None:
        canonical(rule)

    return checked
