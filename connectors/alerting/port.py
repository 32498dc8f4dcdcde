"""Port: what operators ask of rules and alerts. Filled by infra.alerting.service; every method blocks, and may raise Away.

Answers are JSON: dicts, lists, texts and numbers, as connectors.alerting.documents has them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

Json = dict[str, Any]


class NotThere(Exception):
    """There is no such rule, version, alert or silence."""


class NotAllowed(Exception):
    """The command was refused by who decides: `code` says why."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code, self.detail = code, detail


class Wrong(Exception):
    """What was given is wrong: `errors` are sentences with their places."""

    def __init__(self, *errors: str) -> None:
        super().__init__("; ".join(errors))
        self.errors = errors


@dataclass(frozen=True, slots=True)
class RuleChange:
    """A rule as it is to be. `expected`: the newest version that is known, 0 for none; None: whatever it is."""

    rule_id: str
    document: bytes
    mode: str
    expected: int | None


@dataclass(frozen=True, slots=True)
class By:
    """Whose command it is. `command_id`: the command is this one, which may have come before; then what was decided of it is
    told again. None: it is a new one."""

    actor: str
    command_id: str | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """So many things of a list, behind the one with the key `after`; None: from the first on."""

    limit: int
    after: str | None = None


class Page(NamedTuple):
    """A part of a list. `after`: the key of its last one, where there are more behind it."""

    items: list[Json]
    after: str | None = None


class AlertingDesk(Protocol):
    """For several threads. What a list costs does not grow with what the log holds."""

    def rules(self, asked: Asked) -> Page:
        """By id and mode."""

    def rule(self, rule_id: str, version: int | None) -> Json:
        """Raises NotThere."""

    def history(self, rule_id: str, asked: Asked) -> Page:
        """The oldest first. Raises NotThere."""

    def apply(self, change: RuleChange, by: By) -> list[Json]:
        """Raises Wrong, NotAllowed."""

    def disable(self, rule_id: str, mode: str | None, comment: str | None, by: By) -> list[Json]:
        """Raises NotAllowed."""

    def backtest(self, document: bytes, begins: str, ends: str) -> Json:
        """What a rule would have done in a time. Raises Wrong."""

    def alerts(self, wanted: Mapping[str, str], asked: Asked) -> Page:
        """The alerts with these values of state, severity, rule_id, device_id, mode; the newest first. Of those that are
        over the newest ones are known."""

    def open_alerts(self) -> list[Json]:
        """All that are not over, but for those of rules that are only watched; the newest first."""

    def alert(self, alert_id: str) -> Json:
        """With all its events and their positions. Raises NotThere."""

    def tell(self, what: str, alert_id: str, given: Mapping[str, Any], by: By) -> Json:
        """`what` is ack, silence, unsilence or comment. Raises NotThere, NotAllowed, Wrong."""

    def silences(self, asked: Asked) -> Page:
        """By id."""

    def silence(self, silence_id: str, given: Mapping[str, Any], by: By) -> Json:
        """Raises Wrong, NotAllowed."""

    def end_silence(self, silence_id: str, by: By) -> Json:
        """Raises NotAllowed."""

    def close(self) -> None: ...


TOLD: Sequence[str] = ("ack", "silence", "unsilence", "comment")
