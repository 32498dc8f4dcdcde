"""Webhooks: the notice as JSON, signed; and the forms that Slack and PagerDuty take."""

import hashlib
import hmac
import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from connectors.notify.channel import Notice
from connectors.notify.posting import Poster
from connectors.notify.words import lines, title, worst

KEY, TIMESTAMP, SIGNATURE = "Idempotency-Key", "X-Fleetlog-Timestamp", "X-Fleetlog-Signature"
_encode = msgspec.json.Encoder(order="deterministic").encode


def signature(secret: bytes, timestamp: str, body: bytes) -> str:
    """The value of the header X-Fleetlog-Signature: `v1=` and the HMAC-SHA256, in hexadecimal, of the timestamp as it stands
    in its header, a full stop, and the body."""
    return f"v1={hmac.new(secret, timestamp.encode() + b'.' + body, hashlib.sha256).hexdigest()}"


class Webhook:
    """Any receiver that takes JSON. It is told the notice's id in Idempotency-Key."""

    kind = "webhook"

    def __init__(
        self,
        poster: Poster,
        secret: bytes,
        knows_repeats: bool = True,
        tells_resolved: bool = True,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`secret`: what the body is signed with; empty: it is not. `clock`: seconds since 1970."""
        self._poster, self._secret, self._clock = poster, secret, clock
        self.knows_repeats, self.tells_resolved = knows_repeats, tells_resolved

    def deliver(self, notice: Notice, seconds: float) -> str:
        body = _encode({"notification_id": notice.id, **notice.content})
        headers = {KEY: notice.id}
        if self._secret:
            timestamp = str(int(self._clock()))
            headers |= {TIMESTAMP: timestamp, SIGNATURE: signature(self._secret, timestamp, body)}
        return self._poster.post(body, headers, seconds)


COLOURS = {"critical": "#d00000", "warning": "#e8a000", "info": "#0070c0"}


class Slack:
    """An incoming webhook as Slack has it, and whoever takes the same. It knows no repeats."""

    kind = "slack"

    def __init__(self, poster: Poster, knows_repeats: bool = False, tells_resolved: bool = True) -> None:
        self._poster = poster
        self.knows_repeats, self.tells_resolved = knows_repeats, tells_resolved

    def deliver(self, notice: Notice, seconds: float) -> str:
        content = notice.content
        colour = "#2eb67d" if content["status"] == "resolved" else COLOURS.get(worst(content), "#808080")
        text = escaped("\n".join(lines(content)))
        body = {"text": escaped(title(content)), "attachments": [{"color": colour, "text": text, "fallback": text}]}
        return self._poster.post(_encode(body), {KEY: notice.id}, seconds)


def escaped(text: str) -> str:
    """Text in which Slack sees no links, mentions or channels."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


DETAILS = ("labels", "annotations", "group", "value", "level", "since", "rule_version")
ACTIONS = {"resolved": "resolve", "acknowledged": "acknowledge"}


class PagerDuty:
    """PagerDuty's Events API v2, and whoever takes the same. An event for each alert, whose id is the `dedup_key`: one that
    comes again changes nothing."""

    kind = "pagerduty"

    def __init__(self, poster: Poster, routing_key: str, knows_repeats: bool = True, tells_resolved: bool = True) -> None:
        self._poster, self._routing_key = poster, routing_key
        self.knows_repeats, self.tells_resolved = knows_repeats, tells_resolved

    def deliver(self, notice: Notice, seconds: float) -> str:
        until = time.monotonic() + seconds
        said = ""
        for alert in notice.content["alerts"]:
            left = max(0.001, until - time.monotonic())
            said = self._poster.post(_encode(self._event(alert)), {KEY: f"{notice.id}/{alert['alert_id']}"}, left)
        return said

    def _event(self, alert: Mapping[str, Any]) -> dict[str, Any]:
        action = ACTIONS.get(alert["status"], "trigger")
        event = {"routing_key": self._routing_key, "event_action": action, "dedup_key": alert["alert_id"]}
        if action != "trigger":
            return event
        about = alert["device_id"] or alert["home_key"]
        said = alert["annotations"].get("summary") or f"{alert['rule_id']}: {about}"
        details = {
            name: alert[name] for name in ("labels", "annotations", "group", "value", "level", "since", "rule_version")
        }
        payload = {
            "summary": str(said)[:1024],
            "source": about,
            "severity": alert["severity"],
            "timestamp": alert["at"],
            "class": alert["rule_id"],
            "custom_details": details,
        }
        return {**event, "payload": payload, "client": "fleetlog"}
