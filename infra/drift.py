"""What is found and healed, said on the topic of drift."""

import getpass
import logging
import socket
import time
from typing import Any
from uuid import uuid4

from connectors.command_writer import CommandWriter
from infra import compose
from infra.settings import Settings
from schemas import contract as contracts
from schemas.drift_messages import DRIFT_TOPIC, Drift, DriftFound, DriftHealed
from schemas.message_types import message_types
from schemas.messages import Messages
from streams.identities import event_id
from streams.sentinel import Finding

log = logging.getLogger(__name__)

REMEMBERED = 10_000  # findings that were said already


def operator() -> str:
    """Who gives a command here."""
    return f"{getpass.getuser()}@{socket.gethostname()}"[:200]


class Reports:
    """Says on the topic of drift what was found and healed, each finding once."""

    def __init__(self, settings: Settings, actor: str) -> None:
        self._settings, self._actor = settings, actor
        self._writer: CommandWriter | None = None
        self._said: dict[tuple[str, int, str], Finding] = {}

    def found(self, view: str, version: int, finding: Finding) -> bool:
        """Whether it is news; raises Away where it can't be written."""
        name = (view, version, finding.key)
        if self._said.get(name) == finding:
            return False
        log.error("%s: %s is not what the log implies (%s)", view, finding.key, finding.fault)
        event = DriftFound(
            **_about(self._actor, view, version, finding.key),
            fault=finding.fault,
            found_sha256=_hex(finding.found),
            expected_sha256=_hex(finding.expected),
        )
        self._write(event)
        if len(self._said) >= REMEMBERED:
            self._said.clear()
        self._said[name] = finding
        return True

    def healed(self, view: str, version: int, key: str, leaf: bytes | None) -> None:
        """Raises Away where it can't be written."""
        log.warning("%s: %s was made again from the log", view, key)
        self._write(DriftHealed(**_about(self._actor, view, version, key), sha256=_hex(leaf)))
        self._said.pop((view, version, key), None)

    def _write(self, event: Drift) -> None:
        if self._writer is None:
            topic, schemas = contracts.load().topics[DRIFT_TOPIC], compose.registry(self._settings)
            codec = Messages(topic, message_types(topic), schemas.register, schemas.schema)
            self._writer = CommandWriter(self._settings.kafka, {DRIFT_TOPIC: codec})
        self._writer.write(DRIFT_TOPIC, f"{event.view}/{event.key}", event)


def _about(actor: str, view: str, version: int, key: str) -> dict[str, Any]:
    command, now = str(uuid4()), time.time_ns() // 1_000
    return {
        "event_id": event_id(command, 0), "command_id": command, "correlation_id": command, "occurred_at": now,
        "received_at": now, "actor": actor, "view": view, "version": version, "key": key,
    }  # fmt: skip


def _hex(leaf: bytes | None) -> str | None:
    return None if leaf is None else leaf.hex()
