"""The ledger's word on certificates, out of the view `certificates` (port CertificateRecords)."""

from connectors.guards import CertificateRecord
from connectors.view_reader import ViewReader
from projections.updates import payloads

VIEW = "certificates"


class ViewRecords:
    """Reads the view. It follows the log: what was entered or revoked a moment ago may not be there yet."""

    def __init__(self, views: ViewReader) -> None:
        self._views = views

    async def find(self, serial: str) -> CertificateRecord | None:
        document = await self._views.get(VIEW, serial)
        if document is None:
            return None
        held = payloads(document)
        issued, revoked, exception = held.get("certificate"), held.get("revocation"), held.get("exception")
        if issued is None:
            return None
        return CertificateRecord(
            serial,
            issued["device_id"],
            issued["key_hash"],
            issued["not_after"],
            revoked["occurred_at"] if revoked else None,
            exception["until"] if exception else None,
        )
