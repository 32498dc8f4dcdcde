"""Rules as if they had been applied: for back-tests."""

from collections.abc import Mapping, Sequence
from uuid import uuid5

from schemas.rule_messages import RuleApplied
from schemas.rules.document import Rule, canonical
from streams.rules.state import NAMESPACE


def applied(rules: Sequence[Rule], versions: Mapping[str, int], at: int) -> list[RuleApplied]:
    """One event for each rule, with its version (1 where none is named), at a time in microseconds."""
    return [
        RuleApplied(
            command_id=(identity := str(uuid5(NAMESPACE, f"backtest/{rule.id}/{rule.digest}"))),
            correlation_id=identity,
            actor="backtest",
            event_id=identity,
            occurred_at=at,
            received_at=at,
            rule_id=rule.id,
            version=versions.get(rule.id, 1),
            digest=bytes.fromhex(rule.digest),
            document=canonical(rule).decode(),
            mode="live",
        )
        for rule in rules
    ]
