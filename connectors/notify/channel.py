"""Port: a channel on which something is told, and what may go wrong with it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

Why = Literal["refused", "unreachable", "timeout", "forbidden_address", "redirected", "in_doubt", "not_configured"]
"""The reasons of a NotificationFailed."""
LONGEST_DETAIL = 1_000  # characters


@dataclass(frozen=True, slots=True)
class Notice:
    """What is told. `id` is the same however often it is sent: what a receiver tells a repeat by.

    `content`: `status` (firing, acknowledged, resolved), `reason` (see NotificationPlanned), `group_key`, and `alerts`, each
    with the fields of its newest event (streams.notify.content).
    """

    id: str
    content: Mapping[str, Any]


class Undelivered(Exception):
    """A receiver has not taken a notice.

    `again`: the same may be taken a little later, `after` (seconds) at the earliest. `doubtful`: it may have been taken, and
    only the answer is missing.
    """

    def __init__(self, why: Why, detail: str, again: bool, doubtful: bool = False, after: float = 0.0) -> None:
        super().__init__(detail)
        self.why, self.detail, self.again = why, detail[:LONGEST_DETAIL], again
        self.doubtful, self.after = doubtful, after


class Channel(Protocol):
    """One receiver. For one thread at a time."""

    @property
    def kind(self) -> str:
        """webhook, smtp, slack or pagerduty."""

    @property
    def knows_repeats(self) -> bool:
        """Whether the receiver tells by the notice's id that it has it already: then a notice in doubt may be sent again."""

    @property
    def tells_resolved(self) -> bool:
        """Whether it is told when an alert is over."""

    def deliver(self, notice: Notice, seconds: float) -> str:
        """Send it once, within `seconds`; returns what the receiver said.

        Raises:
            Undelivered: it has not, or may not have, taken it.
        """
