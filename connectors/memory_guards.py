"""The in-memory versions of the ports in `connectors.guards`."""

import time
from collections.abc import Callable

from connectors.guards import CertificateRecord, Quota, Taken, counted
from connectors.ports import Away


class MemoryGuards:
    """Ports RateLimiter, NonceStore and CertificateRecords. `clock`: microseconds."""

    def __init__(self, clock: Callable[[], int] = lambda: time.monotonic_ns() // 1000) -> None:
        self._clock = clock
        self._due: dict[tuple[str, str], int] = {}
        self._spent: dict[str, int] = {}
        self.certificates: dict[str, CertificateRecord] = {}
        self.away = ""
        self.lag = 0

    async def take(self, subject: str, quota: Quota) -> Taken:
        self._answer()
        now = self._clock()
        key = quota.name, subject
        taken, self._due[key] = counted(quota, self._due.get(key, 0), now)
        return taken

    async def spend(self, nonce: str, seconds: int) -> bool:
        self._answer()
        now = self._clock()
        self._spent = {spent: until for spent, until in self._spent.items() if until > now}
        if nonce in self._spent:
            return False
        self._spent[nonce] = now + seconds * 1_000_000
        return True

    async def find(self, serial: str) -> CertificateRecord | None:
        self._answer()
        return self.certificates.get(serial)

    async def head(self) -> int:
        self._answer()
        return self.lag

    async def folded(self) -> int:
        self._answer()
        return 0

    async def close(self) -> None:
        """There is nothing to close."""

    def _answer(self) -> None:
        if self.away:
            raise Away(self.away)
