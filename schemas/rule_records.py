"""What the rules engines record of their own work, as the avsc of the same name declare it (field docs are there). These
records answer no command."""

import msgspec

from schemas.rule_messages import RuleMode

CUTS = "fleet.rules.cuts"
AGGREGATES = "fleet.rules.aggregates"


class Slice(msgspec.Struct, frozen=True, kw_only=True):
    """Records of one partition, start <= offset < end."""

    topic: str
    partition: int
    start: int
    end: int


class NamedValue(msgspec.Struct, frozen=True, kw_only=True):
    """One count or sum."""

    name: str
    value: float


class RulesAdvanced(msgspec.Struct, frozen=True, kw_only=True):
    """A cut: up to where the rules engine of this partition has read every input in one step, and by which clock."""

    event_id: str
    sequence: int
    at: int
    revision: int
    positions: tuple[Slice, ...]


class PartialAggregated(msgspec.Struct, frozen=True, kw_only=True):
    """What one partition's engine has counted for one group of a rule about the fleet in one stretch of time."""

    event_id: str
    rule_id: str
    version: int
    mode: RuleMode
    group: str
    source: int
    bucket_start: int
    bucket_length: int
    revision: int
    values: tuple[NamedValue, ...]
