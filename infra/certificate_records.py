"""The ledger's word on certificates, out of the view `certificates` (port CertificateRecords)."""

from connectors.cluster import Cluster, Refusal
from connectors.guards import CertificateRecord
from connectors.ports import Away
from connectors.view_reader import ViewReader
from projections.updates import payloads
from schemas.log import TopicPartition

VIEW = "certificates"
LEDGER = TopicPartition("fleet.certificates", 0)


class ViewRecords:
    """Reads the view. It follows the log: what was entered or revoked a moment ago may not be there yet."""

    def __init__(self, views: ViewReader, cluster: Cluster) -> None:
        self._views, self._cluster = views, cluster

    async def head(self) -> int:
        try:
            return (await self._cluster.ends([LEDGER])).get(LEDGER, 0)
        except Refusal as refusal:
            raise Away(f"the ledger's end is not told: {refusal}") from refusal

    async def folded(self) -> int:
        return (await self._views.positions(VIEW)).get(LEDGER, 0)

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
