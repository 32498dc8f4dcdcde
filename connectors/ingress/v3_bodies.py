"""Bodies of Kafka-REST v3's requests that change topics."""

from typing import Annotated, Literal

import msgspec

from connectors.cluster import NewTopic
from connectors.http.request import Fault
from connectors.ingress.rest_topics import TOPIC_NAME

MOST = 2**31 - 1
MOST_REPLICAS = 2**15 - 1


def _documented(**schema: object) -> msgspec.Meta:
    """What the OpenAPI document says of a value; it is checked further down, since it has a number of its own (40002)."""
    return msgspec.Meta(extra_json_schema=schema)


Count = Annotated[int, _documented(minimum=1, maximum=MOST)]
Scalar = str | int | float | bool | None
"""A value of a setting: all are texts; a number or truth value is taken for its text, as Confluent's proxy does."""


class ConfigIn(msgspec.Struct, forbid_unknown_fields=True):
    """A setting of a topic to be made."""

    name: str
    value: Scalar = None


class ReplicasIn(msgspec.Struct, forbid_unknown_fields=True):
    """The brokers of a partition, the leader first."""

    partition_id: int
    broker_ids: list[int]


class CreateTopicIn(msgspec.Struct, forbid_unknown_fields=True):
    """A topic to be made. What is left out is as the cluster's defaults say."""

    topic_name: Annotated[str, _documented(pattern=f"^{TOPIC_NAME.pattern}$")]
    partitions_count: Count | None = None
    replication_factor: Annotated[int, _documented(minimum=1, maximum=MOST_REPLICAS)] | None = None
    replicas_assignments: list[ReplicasIn] = []
    configs: list[ConfigIn] = []
    validate_only: bool = False


class PartitionsIn(msgspec.Struct, forbid_unknown_fields=True):
    """How many partitions there shall be."""

    partitions_count: Count


class ValueIn(msgspec.Struct, forbid_unknown_fields=True):
    """The value of a setting."""

    value: Scalar = None


class ChangeIn(msgspec.Struct, forbid_unknown_fields=True):
    """A change of a setting: SET to a value, or DELETE: back to its default."""

    name: str
    value: Scalar = None
    operation: Literal["SET", "DELETE"] | None = "SET"


class ChangesIn(msgspec.Struct, forbid_unknown_fields=True):
    """Changes of settings, all or none."""

    data: list[ChangeIn]
    validate_only: bool = False


V3_BODIES = (CreateTopicIn, PartitionsIn, ValueIn, ChangesIn)


def new_topic(asked: CreateTopicIn) -> NewTopic:
    """The topic that is asked for; raises Fault 400 (40002)."""
    if not TOPIC_NAME.fullmatch(asked.topic_name):
        name = asked.topic_name[:250]
        raise refused(f"topic_name {name!r}: a name has up to 249 letters of A-Z, a-z, 0-9, '.', '_' and '-'")
    _check_count("replication_factor", asked.replication_factor, MOST_REPLICAS)
    assignments = _assignments(asked)
    settings: dict[str, str] = {}
    for config in asked.configs:
        if config.name in settings:
            raise refused(f"the setting {config.name!r} is given twice")
        settings[config.name] = text(config.name, config.value)
    return NewTopic(asked.topic_name, asked.partitions_count, asked.replication_factor, assignments, settings)


def changes(asked: ChangesIn) -> dict[str, str | None]:
    """The new value of each setting, None for its default; raises Fault 400 (40002)."""
    found: dict[str, str | None] = {}
    for change in asked.data:
        if change.name in found:
            raise refused(f"the setting {change.name!r} is given twice")
        found[change.name] = None if change.operation == "DELETE" else text(change.name, change.value)
    return found


def text(name: str, value: Scalar) -> str:
    """A value of a setting; raises Fault 400 (40002)."""
    if value is None:
        raise refused(f"the setting {name!r} needs a value")
    told = str(value).lower() if isinstance(value, bool) else str(value)
    if "\0" in name or "\0" in told:
        raise refused(f"the setting {name!r}: there is no NUL in names and values")
    return told


def check_partitions(count: int | None) -> None:
    """Raises Fault 400 (40002)."""
    _check_count("partitions_count", count, MOST)


def refused(message: str) -> Fault:
    return Fault(400, "REFUSED", message)


def _check_count(name: str, count: int | None, most: int) -> None:
    if count is not None and not 1 <= count <= most:
        raise refused(f"{name} is {count}, not between 1 and {most}")


def _assignments(asked: CreateTopicIn) -> tuple[tuple[int, ...], ...]:
    check_partitions(asked.partitions_count)
    assigned = {one.partition_id: tuple(one.broker_ids) for one in asked.replicas_assignments}
    if not asked.replicas_assignments:
        return ()
    if asked.partitions_count is not None or asked.replication_factor is not None:
        raise refused("replicas_assignments say how many partitions and replicas there are: leave out their counts")
    if sorted(assigned) != list(range(len(asked.replicas_assignments))):
        raise refused("replicas_assignments: each partition from 0 on has to be there once")
    if not all(brokers and all(0 <= broker <= MOST for broker in brokers) for brokers in assigned.values()):
        raise refused("replicas_assignments: each partition needs the numbers of its brokers")
    return tuple(assigned[partition] for partition in sorted(assigned))
