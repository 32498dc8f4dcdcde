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
ENTRY_STEP = 0.05  # seconds between two looks whether the view has a certificate that was issued just now


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

    async def entered(self, serial: str, patience: float) -> CertificateRecord | None:
        """As `find`, of a certificate that may have been issued just now: None only if the view has all that the ledger said
        when it was asked for. A view that lags behind is waited for, up to `patience` seconds.

        Raises:
            Away: nobody can say, or the view lags behind still.
        """
        record = await self.find(serial)
        if record is not None:
            return record
        head, until = await self._records.head(), self._clock() + patience
        while True:
            complete = await self._records.folded() >= head
            record = await self.find(serial)
            if record is not None or complete:
                return record
            if self._clock() >= until:
                raise Away("the view of the ledger lags behind")
            await asyncio.sleep(ENTRY_STEP)

    def _keep(self, serial: str, record: CertificateRecord | None, at: float) -> None:
        self._known.pop(serial, None)
        if record is None:
            return
        if len(self._known) >= MOST:
            del self._known[next(iter(self._known))]
        self._known[serial] = _Known(record, at)
