"""What the authority process answers: the ledger's checkpoint, tiles and entries, the authorities' certificates, revocation
lists and OCSP. All of it is public and read only.
"""

import asyncio
import base64
import binascii
import gzip
from collections.abc import Callable
from typing import Protocol, TypeVar
from urllib.parse import unquote_to_bytes

import msgspec

from connectors.http.body import BodyReader
from connectors.http.request import Answer, Fault, Request
from connectors.ports import Away
from schemas.transparency.merkle import OutOfRange
from schemas.transparency.tiles import BadTile, Tile, parse_path

TEXT, BYTES = b"text/plain; charset=utf-8", b"application/octet-stream"
PEM, CRL, OCSP = b"application/pem-certificate-chain", b"application/pkix-crl", b"application/ocsp-response"
CERTIFICATE = b"application/pkix-cert"
FOR_EVER = [(b"cache-control", b"public, max-age=31536000, immutable")]
NOT_KEPT = [(b"cache-control", b"no-store")]
A_MINUTE = [(b"cache-control", b"public, max-age=60")]
LEDGER = b"/ledger/"
Waited = TypeVar("Waited")


class ShownLeaf(msgspec.Struct):
    """A leaf and the proof that it is under the checkpoint. `entry` is the leaf's data; hashes are base64."""

    leaf_index: int
    entry: str
    inclusion_proof: list[str]


class ShownEntry(msgspec.Struct):
    """A certificate in the ledger, provable without asking anybody. `revocation` is null while it is not revoked."""

    serial: str
    tree_size: int
    checkpoint: str
    issued: ShownLeaf
    revocation: ShownLeaf | None


class Shown(Protocol):
    """The ledger. Calls may block, and raise Away; OutOfRange for what is not under the newest head."""

    def checkpoint(self) -> str | None:
        """None: no head was signed yet."""

    def tile(self, tile: Tile) -> bytes: ...

    def bundle(self, number: int, width: int) -> bytes: ...

    def entry(self, serial: str) -> ShownEntry | None: ...


class Pki(Protocol):
    """What the authorities sign for everybody. Calls may block, and raise Away; KeyError for an unknown key id."""

    def certificates(self) -> bytes:
        """The root's and the issuing authorities' certificates, PEM."""

    def certificate(self, key_id: str) -> bytes:
        """One authority's own certificate, DER; the root's too."""

    def crl(self, key_id: str) -> bytes: ...

    def delta(self, key_id: str) -> bytes: ...

    def ocsp(self, request: bytes) -> bytes: ...


class LedgerApi:
    """The handlers."""

    def __init__(self, shown: Shown, pki: Pki, bodies: BodyReader) -> None:
        self._shown, self._pki, self._bodies = shown, pki, bodies

    async def checkpoint(self, request: Request) -> Answer:
        checkpoint = self._shown.checkpoint()
        if checkpoint is None:
            raise Fault(503, "NO_HEAD", "no tree head was signed yet", retry_after=1)
        return Answer(checkpoint.encode(), content_type=TEXT, headers=NOT_KEPT)

    async def tile(self, request: Request) -> Answer:
        """A tile or an entry bundle; the path is all it takes."""
        path = request.raw_path.removeprefix(LEDGER).decode("ascii", "replace")
        try:
            tile = parse_path(path)
            if tile.level is not None:
                return Answer(self._shown.tile(tile), content_type=BYTES, headers=FOR_EVER)
            bundle = await _waited(lambda: self._shown.bundle(tile.number, tile.width))
        except (BadTile, OutOfRange) as error:
            raise Fault(404, "NO_TILE", str(error), [("path", str(error))]) from None
        varies = [*FOR_EVER, (b"vary", b"accept-encoding")]
        if b"gzip" not in request.headers.get(b"accept-encoding", b""):
            return Answer(bundle, content_type=BYTES, headers=varies)
        packed = await asyncio.to_thread(gzip.compress, bundle, 6, mtime=0)
        return Answer(packed, content_type=BYTES, headers=[*varies, (b"content-encoding", b"gzip")])

    async def entry(self, request: Request) -> Answer:
        serial = request.query("serial")
        if serial is None:
            raise Fault(400, "NO_SERIAL", "which certificate? ?serial= names it", [("query serial", "is missing")])
        wanted = serial.lower().lstrip("0")
        found = await _waited(lambda: self._shown.entry(wanted))
        if found is None:
            raise Fault(404, "CERTIFICATE_UNKNOWN", "the ledger shows no certificate of that serial number")
        return Answer(msgspec.json.encode(found), headers=NOT_KEPT)

    async def certificates(self, request: Request) -> Answer:
        return Answer(await _waited(self._pki.certificates), content_type=PEM, headers=A_MINUTE)

    async def pki_file(self, request: Request) -> Answer:
        """What certificates point to: an authority's revocation lists and its own certificate."""
        (name,) = request.arguments
        key_id, _, kind = name.rpartition(".")
        whole = key_id.removesuffix("-delta")
        try:
            if kind == "crt":
                return Answer(
                    await _waited(lambda: self._pki.certificate(key_id)), content_type=CERTIFICATE, headers=A_MINUTE
                )
            if kind != "crl":
                raise KeyError(name)
            call = (lambda: self._pki.crl(key_id)) if whole == key_id else (lambda: self._pki.delta(whole))
            return Answer(await _waited(call), content_type=CRL, headers=A_MINUTE)
        except KeyError:
            detail = f"there is no {name[:100]}: /pki/KEY_ID.crl, /pki/KEY_ID-delta.crl or /pki/KEY_ID.crt"
            raise Fault(404, "NO_SUCH_FILE", detail, [("path", "names no list or certificate")]) from None

    async def ocsp_post(self, request: Request) -> Answer:
        body = await self._bodies.read(request)
        return Answer(await _waited(lambda: self._pki.ocsp(body)), content_type=OCSP, headers=NOT_KEPT)

    async def ocsp_get(self, request: Request) -> Answer:
        """RFC 6960 appendix A.1: the request in base64, as the rest of the path."""
        text = unquote_to_bytes(request.raw_path.removeprefix(b"/pki/ocsp/"))
        try:
            asked = base64.b64decode(text, validate=True)
        except (ValueError, binascii.Error) as error:
            raise Fault(400, "BAD_REQUEST", f"no base64: {error}", [("path", "is no base64")]) from None
        return Answer(await _waited(lambda: self._pki.ocsp(asked)), content_type=OCSP, headers=NOT_KEPT)


async def _waited(call: Callable[[], Waited]) -> Waited:
    """What a call that may block returns; what is away is told as such."""
    try:
        return await asyncio.to_thread(call)
    except Away as away:
        raise Fault(503, "AWAY", str(away), retry_after=1) from None
