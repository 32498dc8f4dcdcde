"""What a run counted, for its progress and its summary."""

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Tally:
    """Records are uploads: one identity each, however often it was sent."""

    devices: int = 0
    registered: int = 0
    joining: int = 0  # registrations begun and not yet done
    sent: int = 0
    acknowledged: int = 0
    refused: int = 0  # refused for good although sound
    requests: int = 0
    retries: int = 0
    in_flight: int = 0
    outstanding: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    injected: Counter[str] = field(default_factory=Counter)
    readings: int = 0
    started: float = field(default_factory=time.monotonic)
    answered: bool = False  # whether the ingress ever did

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    @property
    def unacknowledged(self) -> int:
        return self.sent - self.acknowledged

    @property
    def silent(self) -> str:
        """What to say when no answer ever came."""
        why = ", ".join(f"{reason} {count:,}" for reason, count in self.errors.most_common())
        return f"no answer to {self.requests:,} requests in {self.seconds:.0f} s ({why or 'all were cut short'})"

    def summary(self, run: str) -> dict[str, Any]:
        """The run's JSON."""
        seconds = self.seconds
        return {
            "run": run,
            "seconds": round(seconds, 3),
            "devices": self.devices,
            "registered": self.registered,
            "joining": self.joining,
            "sent": self.sent,
            "acknowledged": self.acknowledged,
            "unacknowledged": self.unacknowledged,
            "refused": self.refused,
            "readings": self.readings,
            "rate": round(self.acknowledged / seconds, 1) if seconds else 0.0,
            "requests": self.requests,
            "retries": self.retries,
            "errors": dict(self.errors),
            "injected": dict(self.injected),
        }
