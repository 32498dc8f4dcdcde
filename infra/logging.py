"""Structured logs: every line that a process of fleetlog writes is one JSON object with the same eight fields.

timestamp (RFC 3339, UTC, milliseconds), level, service (always "fleetlog"), component (the process: worker-0, ingress,
broker ...), device_id and correlation_id (null when the line is about no device or request), message, context (an object).

Code logs with the standard library: `log.info("...", extra={"device_id": ..., "correlation_id": ..., "context": {...}})`.
"""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, TextIO

SERVICE = "fleetlog"
CHATTY = ("httpx", "httpcore")  # libraries that log a line for each request at INFO
TALKATIVE = ("httpx", "httpcore", "faust", "mode", "streams.live.Carrier")
"""Libraries that say at INFO what is of use in DEBUG only: each request, each service that starts."""
FIELDS = ("timestamp", "level", "service", "component", "device_id", "correlation_id", "message", "context")


def entry(component: str, level: str, message: str, at: datetime | None = None) -> dict[str, Any]:
    """A log line as an object with the eight fields; `at` is its time in UTC, by default now."""
    moment = at or datetime.now(UTC)
    return {
        "timestamp": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "level": level,
        "service": SERVICE,
        "component": component,
        "device_id": None,
        "correlation_id": None,
        "message": message,
        "context": {},
    }


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of JSON; an exception goes into `context` as text."""

    def __init__(self, component: str) -> None:
        super().__init__()
        self.component = component

    def format(self, record: logging.LogRecord) -> str:
        line = entry(self.component, record.levelname, record.getMessage(), datetime.fromtimestamp(record.created, UTC))
        line["device_id"] = getattr(record, "device_id", None)
        line["correlation_id"] = getattr(record, "correlation_id", None)
        context = {"logger": record.name}
        given = getattr(record, "context", None)
        if isinstance(given, dict):
            context.update(given)
        if record.exc_info:
            context["exception"] = self.formatException(record.exc_info)
        line["context"] = context
        return json.dumps(line, default=str)


def configure(component: str, level: str = "INFO", stream: TextIO | None = None) -> None:
    """Send all logging of this process to `stream` (standard error) as JSON lines, and nothing else anywhere.

    Handlers that libraries put on the root logger before are removed.

    Raises:
        ValueError: `level` is not a level of the standard library.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter(component))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    if logging.getLogger().level > logging.DEBUG:
        for name in TALKATIVE:
            logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLogger().level))
    logging.captureWarnings(True)
    for name in CHATTY:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLogger().level))
