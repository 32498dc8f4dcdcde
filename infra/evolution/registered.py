"""The contract beside a schema registry: what it holds of a subject, what it would refuse, bringing it up to date."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol, TypeVar

from schemas.codec import BadSchema
from schemas.contract import Contract, RecordType, Schema, Topic
from schemas.released import RULES, problems

T = TypeVar("T")
R = TypeVar("R")
AT_ONCE = 6  # subjects: the registry waits for its log most of the time, and the log takes what comes together in one go


class Version(Protocol):
    @property
    def number(self) -> int: ...
    @property
    def schema_id(self) -> int: ...
    @property
    def schema(self) -> dict[str, Any]: ...


class Registry(Protocol):
    """What of a schema registry is needed, from several threads; see connectors.registry.ConfluentRegistry. Every call may
    raise Away."""

    def versions(self, subject: str) -> list[int]: ...
    def version(self, subject: str, number: int) -> Version: ...
    def find(self, subject: str, schema: Mapping[str, Any]) -> Version | None: ...
    def register(self, subject: str, schema: Mapping[str, Any]) -> int: ...
    def incompatible(self, subject: str, schema: Mapping[str, Any]) -> list[str]: ...
    def compatibility(self, subject: str) -> str | None: ...
    def effective_compatibility(self, subject: str) -> str: ...
    def set_compatibility(self, subject: str, level: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Subject:
    """A subject of the contract, as the registry has it; `faults` says why the present schema can't follow it."""

    subject: str
    record: str
    level: str
    effective: str
    versions: int
    faults: tuple[str, ...]

    @property
    def findings(self) -> list[str]:
        """What is wrong; a subject that is not there yet is not."""
        if not self.versions:
            return []
        level = [f"its level is {self.effective}, topics.toml says {self.level}"] if self.effective != self.level else []
        return [*level, *self.faults]

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "findings": self.findings}


def transitive(level: str) -> str:
    """The level that demands the same of all versions."""
    return level if level == "NONE" or level.endswith("_TRANSITIVE") else f"{level}_TRANSITIVE"


def subjects(contract: Contract) -> Iterator[tuple[str, Topic, RecordType]]:
    for topic in contract.topics.values():
        for record in topic.records:
            yield topic.subject(record), topic, record


def compare(registry: Registry, contract: Contract) -> list[Subject]:
    """Each subject of the contract: its present schema against every version in the registry, transitively, under the
    level that holds there. Raises Away, RegistryRefusal."""
    return _of_each(list(subjects(contract)), lambda one: _compare(registry, *one))


def _compare(registry: Registry, subject: str, topic: Topic, record: RecordType) -> Subject:
    held = _held(registry, subject)
    effective = registry.effective_compatibility(subject) if held else topic.compatibility
    faults = list(_faults(record, {number: one.schema for number, one in held.items()}, transitive(effective)))
    return Subject(subject, record.name, topic.compatibility, effective, len(held), tuple(faults))


def _held(registry: Registry, subject: str) -> dict[int, Version]:
    return {number: registry.version(subject, number) for number in registry.versions(subject)}


def _faults(record: RecordType, held: Mapping[int, Schema], level: str) -> Iterator[str]:
    if level not in RULES:
        yield f"there is no compatibility level {level}"
        return
    for number, schema in held.items():
        try:
            for version, fault in problems(record, {number: schema}, level):
                path = f"{fault.path}: " if fault.path else ""
                yield f"{path}{fault.message}: not {level} with version {version}"
        except BadSchema as error:
            yield f"version {number}: {error}"


# --- registering


@dataclass(slots=True)
class Plan:
    """What registering one subject means. `refusals`: why it can't be done. `id` once it is known."""

    subject: str
    record: RecordType
    level: str
    present_level: str | None
    action: str
    id: int | None = None
    refusals: list[str] = field(default_factory=list)

    @property
    def sets_level(self) -> bool:
        return self.present_level != self.level

    def as_json(self) -> dict[str, Any]:
        return {
            "subject": self.subject,
            "record": self.record.name,
            "action": self.action,
            "id": self.id,
            "compatibility": self.level,
            "level_was": self.present_level,
            "refusals": self.refusals,
            "new": self.action != "unchanged",
        }


class Unfinished(Exception):
    """A subject could not be brought up to date, whose fault is the cause; `done` of the others are."""

    def __init__(self, subject: str, done: int) -> None:
        super().__init__(subject, done)
        self.subject, self.done = subject, done


def plans(registry: Registry, contract: Contract) -> list[Plan]:
    """What is to be done for each subject, asking the registry and changing nothing. Raises Away, RegistryRefusal."""
    return _of_each(list(subjects(contract)), lambda one: _plan(registry, *one))


def _of_each(items: Sequence[T], work: Callable[[T], R]) -> list[R]:
    """`work` of each, several at once. Raises what the first of them raises that fails, when none is at work any more."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        begun = [pool.submit(work, item) for item in items]
        _until_one_fails(begun)
    return [one.result() for one in begun if not one.cancelled()]


def _until_one_fails(begun: Sequence[Future[R]]) -> None:
    """Wait for all, or until one fails: then those that wait are not begun."""
    for one in wait(begun, return_when=FIRST_EXCEPTION).not_done:
        one.cancel()


def _plan(registry: Registry, subject: str, topic: Topic, record: RecordType) -> Plan:
    held = registry.versions(subject)
    if not held:
        return Plan(subject, record, topic.compatibility, None, "new subject")
    present = registry.compatibility(subject)
    found = registry.find(subject, record.schema)
    if found is not None:
        return Plan(subject, record, topic.compatibility, present, "unchanged", found.schema_id)
    made = Plan(subject, record, topic.compatibility, present, "new version")
    schemas = {number: registry.version(subject, number).schema for number in held}
    made.refusals += _faults(record, schemas, transitive(topic.compatibility))
    made.refusals += [f"the registry, at its present level: {why}" for why in registry.incompatible(subject, record.schema)]
    return made


def carry_out(registry: Registry, planned: Sequence[Plan]) -> None:
    """Register the schemas and set the levels, where they are not so already; several subjects at once, in any order:
    the contract's schemas refer to no others.

    Raises:
        Unfinished: by the first subject that failed, Away or RegistryRefusal. What was begun is finished, no other is begun.
    """
    with ThreadPoolExecutor(AT_ONCE) as pool:
        begun = [pool.submit(_carry_out, registry, plan) for plan in planned]
        _until_one_fails(begun)
    ended = [(plan, one.exception()) for plan, one in zip(planned, begun, strict=True) if not one.cancelled()]
    for plan, error in ended:
        if error is not None:
            raise Unfinished(plan.subject, sum(error is None for _, error in ended)) from error


def _carry_out(registry: Registry, plan: Plan) -> None:
    if plan.action != "unchanged":
        plan.id = registry.register(plan.subject, plan.record.schema)
    if plan.sets_level:
        registry.set_compatibility(plan.subject, plan.level)
