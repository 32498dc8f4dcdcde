"""Whether a certificate is good now, as the ledger's view says: asked at most every half second for each certificate, and
refused when nobody can say."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from connectors.guards import CertificateRecord, CertificateRecords
from connectors.ports import Away

FRESH_SECONDS = 0.5  # a revocation is known this long after the view has it
MOST = 100_000  # certificates of which the last answer is kept
ENTRY_SECONDS = 2.0  # a certificate that was issued just now may not be in the view yet: it is waited for
ENTRY_STEP = 0.05


@dataclass(slots=True)
class _Known:
    record: CertificateRecord
    at: float


class CertificateStates:
    """`grace`: seconds for which the last answer counts while the view can't be asked."""

    def __init__(self, records: CertificateRecords, grace: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._records, self._grace, self._clock = records, grace, clock
        self._known: dict[str, _Known] = {}  # the least recently asked first
        self.remembered = 0  # answers given from memory while the view was away

    async def find(self, serial: str) -> CertificateRecord | None:
        """What the ledger says; None: it doesn't show the certificate.

        Raises:
            Away: nobody can say, and the last answer is too old.
        """
        known = self._known.get(serial)
        if known is not None and self._clock() - known.at < FRESH_SECONDS:
            return known.record
        asked = self._clock()
        try:
            record = await self._records.find(serial)
        except Away:
            if known is None or self._clock() - known.at >= self._grace:
                raise
            self.remembered += 1
            return known.record
        self._keep(serial, record, asked)
        return record

    async def entered(self, serial: str) -> CertificateRecord | None:
        """As `find`, of a certificate that may have been issued just now.

        Raises:
            Away: nobody can say.
        """
        until = self._clock() + ENTRY_SECONDS
        record = await self.find(serial)
        while record is None and self._clock() < until:
            await asyncio.sleep(ENTRY_STEP)
            record = await self.find(serial)
        return record

    def _keep(self, serial: str, record: CertificateRecord | None, at: float) -> None:
        self._known.pop(serial, None)
        if record is None:
            return
        if len(self._known) >= MOST:
            del self._known[next(iter(self._known))]
        self._known[serial] = _Known(record, at)
