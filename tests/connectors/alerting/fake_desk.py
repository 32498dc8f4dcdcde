"""A desk of rules and alerts that keeps what it is asked, for the API in front of it."""

from collections.abc import Mapping
from typing import Any

from connectors.alerting.paging import page
from connectors.alerting.port import Asked, By, Json, Page, RuleChange
from infra.alerting import telling
from schemas.rule_messages import RULE_EVENTS
from streams.alerts.listing import listed as alerts_listed
from streams.rulebook.listing import listed as rules_listed
from tests.streams.alerts.stage import Stage, rule_of
from tests.streams.rulebook.book import DAY, Book, wanted


def rule_book() -> Book:
    book = Book()
    book.apply(wanted("hot"))
    book.apply(wanted("hot", severity="critical"), mode="shadow")
    book.silence("night", 0, DAY)
    return book


class FakeDesk:
    """Keeps what it is asked; `fault` is what it answers with, where there is one. What it tells is told of real events."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.commands: list[str | None] = []
        self.fault: Exception | None = None
        self.book = rules_listed(rule_book().events)
        on = Stage()
        on.apply(rule_of())
        on.signal("fired")
        self.events = on.said
        self.alert_listed = alerts_listed(on.said)

    def _asked(self, *what: Any) -> None:
        self.asked.append(what)
        if self.fault is not None:
            raise self.fault

    def rules(self, asked: Asked) -> Page:
        self._asked("rules", asked)
        known = {"/".join(name): one for name, one in self.book.rules.items()}
        keys, after = page(known, asked)
        return Page([telling.rule_standing(known[key]) for key in keys], after)

    def rule(self, rule_id: str, version: int | None) -> Json:
        self._asked("rule", rule_id, version)
        standing = [telling.rule_standing(one) for one in self.book.rules.values()]
        return {"rule_id": rule_id, "version": 2, "document": standing[0]["document"], "standing": standing}

    def history(self, rule_id: str, asked: Asked) -> Page:
        self._asked("history", rule_id)
        return Page(
            [{"event": "RuleApplied", "at": "2026-01-01T00:00:00Z", "actor": "owner", "position": f"{RULE_EVENTS}/0/1"}]
        )

    def apply(self, change: RuleChange, by: By) -> list[Json]:
        self.commands.append(by.command_id)
        self._asked("apply", change, by.actor)
        return [{"event": "RuleApplied", "rule_id": change.rule_id}]

    def disable(self, rule_id: str, mode: str | None, comment: str | None, by: By) -> list[Json]:
        self._asked("disable", rule_id, mode, comment, by.actor)
        return [{"event": "RuleUnchanged"}]

    def backtest(self, document: bytes, begins: str, ends: str) -> Json:
        self._asked("backtest", document, begins, ends)
        numbers = {"incidents": 1, "open": 0, "notifications": 2, "flaps": 0, "firing_seconds": 1.5}
        return {"begins": begins, "ends": ends, **numbers, "top": [], "difference": {}}

    def alerts(self, wanted: Mapping[str, str], asked: Asked) -> Page:
        self._asked("alerts", dict(wanted))
        return Page([telling.alert(one) for one in self.alert_listed.values()])

    def open_alerts(self) -> list[Json]:
        self._asked("open alerts")
        return [telling.alert(one) for one in self.alert_listed.values()]

    def alert(self, alert_id: str) -> Json:
        self._asked("alert", alert_id)
        (one,) = self.alert_listed.values()
        return {**telling.alert(one), "events": []}

    def tell(self, what: str, alert_id: str, given: Mapping[str, Any], by: By) -> Json:
        self.commands.append(by.command_id)
        self._asked("tell", what, alert_id, dict(given), by.actor)
        return {"event": "AlertAcknowledged"}

    def silences(self, asked: Asked) -> Page:
        self._asked("silences", asked)
        return Page([telling.silence_standing(one, one.starts_at) for one in self.book.silences.values()])

    def silence(self, silence_id: str, given: Mapping[str, Any], by: By) -> Json:
        self._asked("silence", silence_id, dict(given), by.actor)
        return {"event": "SilenceCreated"}

    def end_silence(self, silence_id: str, by: By) -> Json:
        self._asked("end_silence", silence_id, by.actor)
        return {"event": "SilenceEnded"}

    def close(self) -> None:
        """Nothing is open."""
