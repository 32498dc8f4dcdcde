"""What the authority process shows: the ports of its HTTP service, filled with the followed ledger and the authority."""

import base64
import time
from collections.abc import Callable

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from connectors.authority.port import Authority
from connectors.ledger_http.api import ShownEntry, ShownLeaf
from infra.pki_files import Pki
from schemas.transparency.entries import canonical
from schemas.transparency.merkle import OutOfRange
from schemas.transparency.tiles import Tile
from streams.ledger.entry_reader import EntryReader
from streams.ledger.published import Published


class ShownLedger:
    """The port Shown."""

    def __init__(self, published: Published, entries: EntryReader) -> None:
        self._published, self._entries = published, entries

    def checkpoint(self) -> str | None:
        head = self._published.head
        return None if head is None else head.checkpoint

    def tile(self, tile: Tile) -> bytes:
        return self._published.tile(tile)

    def bundle(self, number: int, width: int) -> bytes:
        return self._entries.bundle(number, width)

    def entry(self, serial: str) -> ShownEntry | None:
        """Both proofs are against one head: where a newer one comes in between, it is asked again."""
        while True:
            known, head = self._published.certificate(serial), self._published.head
            if known is None or head is None:
                return None
            try:
                issued = self._leaf(known.leaf)
                revocation = None if known.revoked_leaf is None else self._leaf(known.revoked_leaf)
            except OutOfRange:  # entered, and not yet under a head
                return None
            if self._published.head is head:
                return ShownEntry(serial, head.tree_size, head.checkpoint, issued, revocation)

    def _leaf(self, index: int) -> ShownLeaf:
        proof = [base64.b64encode(step).decode() for step in self._published.proven(index).proof]
        return ShownLeaf(index, canonical(self._entries.leaf(index)).decode(), proof)


class ShownPki:
    """The port Pki. The root's certificate and list are in `files`."""

    def __init__(
        self, authority: Authority, published: Published, files: Pki, clock: Callable[[], float] = time.time
    ) -> None:
        self._authority, self._published, self._files, self._clock = authority, published, files, clock
        root = x509.load_pem_x509_certificate(files.trust.read_bytes())
        self._root = root.public_bytes(Encoding.DER)
        self._root_key_id = root.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest.hex()

    def certificates(self) -> bytes:
        issuers = [x509.load_der_x509_certificate(issuer.certificate) for issuer in self._authority.authorities()]
        return self._files.trust.read_bytes() + b"".join(issuer.public_bytes(Encoding.PEM) for issuer in issuers)

    def certificate(self, key_id: str) -> bytes:
        known = {issuer.key_id: issuer.certificate for issuer in self._authority.authorities()}
        return (known | {self._root_key_id: self._root})[key_id]

    def crl(self, key_id: str) -> bytes:
        if key_id == self._root_key_id:
            return self._files.root_list.read_bytes()
        return self._authority.crl(key_id, self._published.revoked(key_id), self._now())

    def delta(self, key_id: str) -> bytes:
        return self._authority.delta(key_id, self._published.revoked(key_id), self._now())

    def ocsp(self, request: bytes) -> bytes:
        return self._authority.ocsp(request, self._published.status, self._now())

    def _now(self) -> int:
        return int(self._clock() * 1_000_000)
