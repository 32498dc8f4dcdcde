"""Progress of a flow in a device's folder."""

from dataclasses import dataclass
from typing import Any

from infra.device.keystore import PROGRESS, Keystore, NothingKept


@dataclass(frozen=True)
class OnDisk:
    """A Progress (infra.device.registration). What can't be read is no progress: the flow begins anew."""

    store: Keystore

    def load(self) -> dict[str, Any]:
        try:
            return self.store.noted(PROGRESS)
        except NothingKept:
            return {}

    def save(self, value: dict[str, Any]) -> None:
        self.store.note(PROGRESS, value)

    def clear(self) -> None:
        self.store.remove(PROGRESS)
