"""A simulated device: plays a series, numbers its uploads, notices what happens in its series."""

import time
from typing import Any
from uuid import uuid4

from infra.simulator.journal import JournalWriter, Kind
from infra.simulator.series import MICROS, Series

FIRMWARE = "1.4.2"
HARDWARE_REVISION = "B"

Fields = dict[str, Any]


def now_micros() -> int:
    return time.time_ns() // 1000


class Device:
    """Its state between uploads. Times are microseconds.

    `begins` is the time that the first row's readings get; rows keep the series' own spacing from there. After the last
    row the series begins again. A series that plays fast comes to the present some time: from there on readings are
    taken now, not in the future.
    """

    __slots__ = (
        "begins",
        "boot",
        "boot_id",
        "booted",
        "errors",
        "events",
        "events_sent",
        "id",
        "latency",
        "passed",
        "row",
        "sequences",
        "series",
        "skew",
        "throughput",
        "tries",
    )

    def __init__(self, device_id: str, series: Series, first_row: int, begins: int, skew: int) -> None:
        self.id, self.series, self.skew = device_id, series, skew
        self.row = first_row
        self.passed = 0  # rounds of the series that were played
        self.begins = begins - int(series.at[first_row])
        self.errors = self.events = self.events_sent = self.tries = 0
        self.latency = self.throughput = 0.0  # of its newest request: milliseconds, bits per second

    def start(self, journal: JournalWriter) -> None:
        """Boot, for the first time or anew."""
        self.boot_id = str(uuid4())  # never from the seed: it must differ from every earlier run's
        self.boot = journal.boot(self.id, self.boot_id)
        self.booted = now_micros()
        self.sequences = {Kind.TELEMETRY: 0, Kind.HEARTBEAT: 0, Kind.EVENT: 0, Kind.REGISTRATION: 0}

    def clock(self) -> int:
        """What the device takes the time to be."""
        return max(0, now_micros() + self.skew)

    def registration(self) -> Fields:
        return {
            "occurred_at": self.clock(),
            "hardware_id": self.id,
            "model": self.series.source.model,
            "firmware_version": FIRMWARE,
            "hardware_revision": HARDWARE_REVISION,
            "capabilities": [metric.name for metric in self.series.source.metrics],
        }

    def telemetry(self, rows: int) -> tuple[Fields, list[Fields]]:
        """An upload of the next rows, and the events that the device noticed in them."""
        readings: list[Fields] = []
        noticed: list[tuple[str, Fields]] = []
        series, clock = self.series, self.clock()
        for _ in range(rows):
            at = max(0, min(clock, self.begins + self.passed * series.period + series.times[self.row] + self.skew))
            for metric, unit, value in series.rows[self.row]:
                readings.append({"metric": metric, "at": at, "value": value, "unit": unit})
            for event_type, said in series.remarkable.get(self.row, ()):
                noticed.append((event_type, {"at": at, **said}))
            self.row += 1
            if self.row == len(series.times):
                self.row, self.passed = 0, self.passed + 1
        upload = {"occurred_at": clock, **self._identity(Kind.TELEMETRY), "readings": readings}
        return upload, [self.event(event_type, metadata) for event_type, metadata in noticed]

    def due(self, rows: int) -> int:
        """When the last of the next `rows` rows is measured, by a right clock."""
        rounds, row = divmod(self.row + rows - 1, len(self.series.times))
        return self.begins + (self.passed + rounds) * self.series.period + self.series.times[row]

    def event(self, event_type: str, metadata: Fields) -> Fields:
        self.events += 1
        return {
            "occurred_at": self.clock(),
            **self._identity(Kind.EVENT),
            "event_type": event_type,
            "confidence": None,
            "metadata": metadata,
            "media_files": [],
        }

    def heartbeat(self, figures: Fields) -> Fields:
        """A heartbeat with the host's `figures` (see Host)."""
        clock = self.clock()
        return {
            "occurred_at": clock,
            **self._identity(Kind.HEARTBEAT),
            "uptime": (now_micros() - self.booted) // MICROS,
            **figures,
            "network_quality": {
                "signal_strength": 0.0,  # the host has no radio
                "latency": self.latency,
                "throughput": self.throughput,
                "packet_loss": min(100.0, 100.0 * self.errors / max(1, self.tries)),
            },
            "camera_status": None,
            "location": self._location(clock),
            "error_count": {
                "camera_errors": 0,
                "network_errors": self.errors,
                "storage_errors": 0,
                "detection_errors": 0,
            },
            "metrics": {
                "events_detected_today": self.events,
                "events_uploaded_today": self.events_sent,
                "average_detection_latency": 0.0,
                "storage_usage_mb": 0.0,
            },
        }

    def _location(self, clock: int) -> Fields | None:
        place = self.series.source.location
        if place is None:
            return None
        latitude, longitude = place
        return {
            "latitude": latitude, "longitude": longitude, "altitude": None, "accuracy": None, "timestamp": clock,
        }  # fmt: skip

    def _identity(self, kind: Kind) -> Fields:
        sequence = self.sequences[kind]
        self.sequences[kind] = sequence + 1
        return {"boot_id": self.boot_id, "sequence": sequence}
