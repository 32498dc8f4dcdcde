"""Fills the port connectors.alerting.port.AlertingDesk: the operators' desk, told in JSON."""

import time
from collections.abc import Callable, Mapping
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from connectors.alerting.paging import page
from connectors.alerting.port import Asked, By, Json, NotAllowed, NotThere, Page, RuleChange, Wrong
from connectors.ports import Busy
from infra.alerting import telling
from infra.alerting.asking import Invalid, Refused, Unknown
from infra.alerting.backtesting import NotBacktested, backtested
from infra.alerting.files import Check
from infra.alerting.language import check
from infra.settings import Settings
from schemas.alert_messages import AlertEvent
from schemas.moments import BadMoment, future_moment_of, moment_of
from schemas.rule_messages import Matcher, RuleMode
from schemas.rules.document import Rule
from schemas.rules.reading import BadRule, read
from streams.alerts.listing import listed

if TYPE_CHECKING:
    from infra.alerting.desk import Desk

T = TypeVar("T")
LATEST = 2**63  # microseconds; no time is later


class Service:
    """See the port. Nothing is opened before it is asked."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock, self._backtesting = Lock(), Lock()
        self._opened: Desk | None = None
        self._checks: Check | None = None

    # --- rules --------------------------------------------------------------------------------------------------------

    def rules(self, asked: Asked) -> Page:
        known = {f"{one.rule_id}/{one.mode}": one for one in self._desk().rules().rules.values()}
        return _page(known, asked, telling.rule_standing)

    def rule(self, rule_id: str, version: int | None) -> Json:
        found = self._desk().rules()
        versions = [number for name, number in found.documents if name == rule_id]
        wanted = version or max(versions, default=0)
        if wanted not in versions:
            raise NotThere(f"there is no rule {rule_id}" + (f" of version {version}" if versions else ""))
        standing = [telling.rule_standing(one) for (name, _), one in sorted(found.rules.items()) if name == rule_id]
        document = msgspec.json.decode(found.documents[rule_id, wanted])
        return {"rule_id": rule_id, "version": wanted, "document": document, "standing": standing}

    def history(self, rule_id: str, asked: Asked) -> Page:
        known = {f"{one.offset:020}": one for one in _asked(lambda: self._desk().history(rule_id))}
        return _page(known, asked, lambda one: {**telling.rule_event(one.event), "position": one.place})

    def apply(self, change: RuleChange, by: By) -> list[Json]:
        rule = self._read(change.document)
        if rule.id != change.rule_id:
            raise Wrong(f"id: {rule.id} is not {change.rule_id}, which the path says")
        mode: RuleMode = "shadow" if change.mode == "shadow" else "live"
        events = _asked(lambda: self._desk().apply([rule], mode, by, [change.expected]))
        return [telling.rule_event(event) for event in events]

    def disable(self, rule_id: str, mode: str | None, comment: str | None, by: By) -> list[Json]:
        which: RuleMode | None = None if mode is None else "shadow" if mode == "shadow" else "live"
        events = _asked(lambda: self._desk().disable(rule_id, which, comment or None, by))
        return [telling.rule_event(event) for event in events]

    def backtest(self, document: bytes, begins: str, ends: str) -> Json:
        rule, now = self._read(document), time.time_ns() // 1000
        try:
            between = moment_of(begins, now), moment_of(ends, now)
        except BadMoment as error:
            raise Wrong(str(error)) from None
        if between[0] >= between[1]:
            raise Wrong(f"to: {ends} is not after {begins}")
        if not self._backtesting.acquire(blocking=False):
            raise Busy("another back-test is under way")
        try:
            return backtested(self._settings, rule, between)
        except NotBacktested as error:
            raise Wrong(str(error)) from None
        finally:
            self._backtesting.release()

    def _read(self, document: bytes) -> Rule:
        with self._lock:
            if self._checks is None:
                self._checks = check()
        try:
            rule = read(document)
            self._checks(rule)
        except BadRule as bad:
            raise Wrong(*bad.errors) from None
        return rule

    # --- alerts -------------------------------------------------------------------------------------------------------

    def alerts(self, wanted: Mapping[str, str], asked: Asked) -> Page:
        with self._desk().alerts() as alerts:
            known = {
                f"{LATEST - one.since:020}/{one.alert_id}": one
                for one in alerts.values()
                if all(getattr(one, name) == value for name, value in wanted.items())
            }
            return _page(known, asked, telling.alert)

    def open_alerts(self) -> list[Json]:
        with self._desk().alerts() as alerts:
            found = [one for one in alerts.values() if one.state != "resolved" and one.mode == "live"]
            return [telling.alert(one) for one in sorted(found, key=lambda one: (-one.since, one.alert_id))]

    def alert(self, alert_id: str) -> Json:
        placed = _asked(lambda: self._desk().alert_events(alert_id))
        (found,) = listed(one.event for one in placed).values()
        events = [
            {**telling.alert_event(one.event), "position": one.place} for one in placed if isinstance(one.event, AlertEvent)
        ]
        return {**telling.alert(found), "events": events}

    def tell(self, what: str, alert_id: str, given: Mapping[str, Any], by: By) -> Json:
        desk, comment = self._desk(), given.get("comment") or None
        asked: Mapping[str, Callable[[], AlertEvent]] = {
            "ack": lambda: desk.acknowledge(alert_id, comment, by),
            "silence": lambda: desk.silence_alert(alert_id, _time(given.get("until")), comment, by),
            "unsilence": lambda: desk.unsilence_alert(alert_id, comment, by),
            "comment": lambda: desk.comment(alert_id, comment or "", by),
        }
        return telling.alert_event(_asked(asked[what]))

    def silences(self, asked: Asked) -> Page:
        now = time.time_ns() // 1000
        return _page(self._desk().rules().silences, asked, lambda one: telling.silence_standing(one, now))

    def silence(self, silence_id: str, given: Mapping[str, Any], by: By) -> Json:
        matchers = [msgspec.convert(one, Matcher) for one in given["matchers"]]
        starts, ends = _time(given.get("starts_at")) or time.time_ns() // 1000, _time(given["ends_at"]) or 0
        event = _asked(lambda: self._desk().silence(silence_id, matchers, (starts, ends), given["comment"], by))
        return telling.rule_event(event)

    def end_silence(self, silence_id: str, by: By) -> Json:
        return telling.rule_event(_asked(lambda: self._desk().end_silence(silence_id, None, by)))

    def close(self) -> None:
        with self._lock:
            if self._opened is not None:
                self._opened.close()

    def _desk(self) -> "Desk":
        with self._lock:
            if self._opened is None:
                from infra.alerting.desk import Desk  # with the stores' clients, which the ingress has no other use for

                self._opened = Desk(self._settings)
            return self._opened


def _page(known: Mapping[str, T], asked: Asked, tell: Callable[[T], Json]) -> Page:
    keys, after = page(known, asked)
    return Page([tell(known[key]) for key in keys], after)


def _asked(work: Callable[[], T]) -> T:
    """`work` with the desk's refusals told as the port's."""
    try:
        return work()
    except Unknown as unknown:
        raise NotThere(str(unknown)) from None
    except Invalid as invalid:
        raise Wrong(*invalid.faults) from None
    except Refused as refused:
        raise NotAllowed(refused.code, refused.detail) from None


def _time(given: str | None) -> int | None:
    """Raises Wrong: it is no time."""
    if given is None:
        return None
    try:
        return future_moment_of(given, time.time_ns() // 1000)
    except BadMoment as error:
        raise Wrong(str(error)) from None
