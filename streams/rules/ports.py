"""What the engine needs of a rule that was compiled, and of the alerts' lifecycle, and what it tells them.

The engine decides *when* a condition has come or gone: event time, `for`, `keep_firing`, `repeat`, silence of a device. The
lifecycle decides what becomes of the alert: acknowledgement, escalation, flapping, repeats, silences.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple, Protocol

import polars as pl

from schemas.messages import Command, Event

Input = Literal["telemetry", "heartbeat", "device-event", "registration", "certificate", "system", "trend", "fleet"]

# The columns that every frame of rows has beside those of its input's variables; a frame is in the order of the log.
PARTITION, OFFSET, ROW = "_partition", "_offset", "_row"  # where it is from; ROW counts the rows of one record from 0
KEY = "_key"  # String: the home key, for most inputs the device's id
AT = "_at"  # Int64: event time in microseconds since 1970 UTC, no later than RECEIVED
RECEIVED = "_received"  # Int64: received_at in microseconds


class Place(NamedTuple):
    """A record of the log."""

    topic: str
    partition: int
    offset: int


class Failed(NamedTuple):
    """The first row that a rule can't be evaluated of, and why."""

    row: int
    why: str


class Verdicts(NamedTuple):
    """One entry for each row of a frame. `raised` and `cleared` are Boolean, null where what the expression needs is not
    there; `value` is Float64, null where there is none. From the row `failed` on the rule can't be evaluated. `seconds` of
    processor time were for this rule alone."""

    raised: pl.Series
    cleared: pl.Series
    value: pl.Series
    failed: Failed | None = None
    seconds: float = 0.0


class Timing(NamedTuple):
    """What the engine needs of a rule's document; times in microseconds. `silent_after`: a device that was not heard of for
    so long counts as raised ("alert"), as cleared ("ok"), or as it was ("keep"). `horizon`: the longest window."""

    hold: int = 0
    keep_firing: int = 0
    repeat: int = 1
    silent_after: int = 0
    on_silence: Literal["alert", "ok", "keep"] = "keep"
    horizon: int = 0


class RuleFailed(Exception):
    """A rule can't be evaluated, over no rows like these: its evaluator is broken or refuses; the message says why."""


class Added(NamedTuple):
    """What rows of one partition, taken by one cut, add to one bucket of a group of a rule about the fleet: for each measure
    the amounts, in the order of the log. `source` is the partition, `offset` the first row's; a window that ends before
    `visible` does not know of them yet."""

    cut: int
    source: int
    offset: int
    group: str
    bucket: int
    visible: int
    amounts: tuple[tuple[float, ...], ...]


class Counts(Protocol):
    """What a rule about the fleet counts. `direct`: every engine reads all partitions of its input `of`, and counts what is
    at home with it; else each counts its own partition, and tells the others. `length` of a bucket and `window` are
    microseconds; `counts` says of each measure whether it is a count, not a sum."""

    of: Input
    direct: bool
    length: int
    window: int
    counts: tuple[bool, ...]

    @property
    def names(self) -> tuple[str, ...]: ...
    @property
    def metrics(self) -> Collection[str]: ...

    def added(self, frame: pl.DataFrame, cuts: pl.Series) -> Iterator[Added]:
        """What rows in the order of the log add; `cuts` has the number of the cut of each."""


class Evaluator(Protocol):
    """A compiled rule with the windows that it carries, in one partition. Not for several threads.

    What it says of a row depends on the rows before it in the order of the log and on nothing else: not on how they fall
    into frames, and on no clock.
    """

    @property
    def rule_id(self) -> str: ...
    @property
    def version(self) -> int: ...
    @property
    def input(self) -> Input: ...
    @property
    def timing(self) -> Timing: ...

    @property
    def counter(self) -> "Counts | None":
        """What a rule about the fleet counts; None of every other rule."""

    @property
    def metrics(self) -> Collection[str]:
        """The metrics that a rule of input telemetry names: columns of its frames."""

    def group(self, fields: Mapping[str, Any]) -> str:
        """The group of an alert, by what is known of its row and device."""

    def evaluate(self, rows: pl.DataFrame) -> Verdicts:
        """Takes the rows into the windows too, those that came late as well.

        Raises:
            RuleFailed: see there.
        """

    @property
    def everywhere(self) -> bool:
        """Whether every device is in the rule's scope."""

    def about(self, key: str, model: str | None, labels: Mapping[str, str]) -> bool:
        """Whether a device is in the rule's scope."""

    def idle(self, key: str, at: int) -> tuple[bool | None, bool | None]:
        """Whether it is raised and cleared at `at`, for a key of which nothing came for long. Changes nothing."""

    @property
    def terms(self) -> tuple[int, ...]:
        """How long before the end of a certificate (microseconds) the rule may say something else of it."""

    def again(self, key: str, at: int, fields: Mapping[str, Any]) -> tuple[bool | None, bool | None]:
        """Whether it is raised and cleared at `at`, by a record of before with these columns. Changes nothing."""

    def fresh(self) -> "Evaluator":
        """The same rule, with nothing carried."""

    def windows(self) -> bytes:
        """What is carried."""

    def restore(self, windows: bytes) -> None:
        """Take what `windows` gave."""


class Moment(NamedTuple):
    """The time of a decision: `at` in event time, `clock` of the cut it is made in; microseconds."""

    at: int
    clock: int


class Signal(NamedTuple):
    """The condition of a rule has come or gone for one key.

    `pending`: it holds, and is to hold on until it counts. `fired`: it counts. `lapsed`: it was pending and holds no more.
    `resolved`: it counted and is gone.

    `first` is where the condition began: it makes the alert's id. `cause` is the record that led to this signal, None where
    a timer did. `fields` are what a template may name. `reason` says why it is over, or that silence made it fire.
    """

    kind: Literal["pending", "fired", "lapsed", "resolved"]
    reason: Literal["cleared", "no_data", "rule_changed", "rule_disabled", "rule_suspended", "out_of_scope"]
    rule_id: str
    home: str
    group: str
    first: Place | None
    cause: Place | None
    value: float | None
    moment: Moment
    fields: dict[str, Any]


class Lifecycle(Protocol):
    """The alerts of one partition. Pure: what it says follows from what it was told so far."""

    def signal(self, signal: Signal, evaluator: Evaluator, mode: Literal["live", "shadow"]) -> Sequence[tuple[str, Event]]:
        """The events that follow, each with the home key that is its record's key."""

    def command(self, key: str, command: Command, place: Place, moment: Moment) -> Sequence[tuple[str, Event]]:
        """What follows from an operator's command: a refusal is an event too."""

    def rule(self, event: Event, moment: Moment) -> Sequence[tuple[str, Event]]:
        """A rule or a silence has changed (an event of fleet.rules)."""

    def due(self) -> int | None:
        """When a timer is due next, if any: a repeat, an escalation, the end of a silence."""

    def tick(self, moment: Moment) -> Sequence[tuple[str, Event]]:
        """The timers that are due at `moment.clock`, in the order of their times."""

    def snapshot(self) -> bytes: ...

    def restore(self, data: bytes) -> None: ...
