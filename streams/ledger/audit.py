"""What is wrong with the certificates that are in use, held against the ledger. Pure."""

import hashlib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Literal, NamedTuple

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from connectors import keys
from connectors.keys import BadKey
from streams.ledger.state import Certificate, LedgerState

DAY_MICROS = 86_400_000_000
Kind = Literal[
    "unreadable",
    "not_in_ledger",
    "differs",
    "shared_certificate",
    "shared_key",
    "wrong_device",
    "expired",
    "expiring",
    "weak_key",
    "revoked",
]
WEAK_HASHES = (hashes.MD5, hashes.SHA1)


class InUse(NamedTuple):
    """A certificate (DER) that somebody has. `source` says who; `device_id` where it is known."""

    source: str
    device_id: str | None
    certificate: bytes


class Finding(NamedTuple):
    """Something wrong."""

    kind: Kind
    source: str
    serial: str
    device_id: str | None
    detail: str


class _Read(NamedTuple):
    used: InUse
    serial: str
    key_hash: bytes
    digest: bytes
    not_after: int
    weakness: str


def audit(
    state: LedgerState, digests: Mapping[str, bytes], used: Iterable[InUse], now: int, expiring_days: float = 7.0
) -> list[Finding]:
    """What is wrong with the certificates in use. `digests`: SHA-256 of those in the ledger, by serial number; `now`:
    microseconds since 1970 UTC."""
    findings: list[Finding] = []
    read: list[_Read] = []
    for one in used:
        try:
            read.append(_parsed(one))
        except (ValueError, UnsupportedAlgorithm) as error:
            findings.append(Finding("unreadable", one.source, "", one.device_id, f"no X.509 certificate: {error}"))
    for known in read:
        findings.extend(_of_one(state, digests, known, now, expiring_days))
    findings.extend(_shared(state, read))
    return findings


def _parsed(used: InUse) -> _Read:
    certificate = x509.load_der_x509_certificate(used.certificate)
    public = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    weakness = ""
    try:
        keys.load(public)
    except BadKey as bad:
        weakness = str(bad)
    if isinstance(certificate.signature_hash_algorithm, WEAK_HASHES):
        weakness = f"signed with {certificate.signature_hash_algorithm.name}"
    digest = hashlib.sha256(used.certificate).digest()
    not_after = int(certificate.not_valid_after_utc.timestamp() * 1_000_000)
    return _Read(used, f"{certificate.serial_number:x}", keys.key_hash(public), digest, not_after, weakness)


def _of_one(state: LedgerState, digests: Mapping[str, bytes], read: _Read, now: int, expiring_days: float) -> list[Finding]:
    found: list[tuple[Kind, str]] = []
    known = state.certificates.get(read.serial)
    if known is None:
        found.append(("not_in_ledger", "the ledger shows no certificate of this serial number"))
    else:
        found.extend(_against(known, digests[read.serial], read))
    if read.not_after < now:
        found.append(("expired", f"since {_text(read.not_after)}"))
    elif read.not_after < now + expiring_days * DAY_MICROS:
        found.append(("expiring", f"on {_text(read.not_after)}"))
    if read.weakness:
        found.append(("weak_key", read.weakness))
    return [Finding(kind, read.used.source, read.serial, read.used.device_id, detail) for kind, detail in found]


def _against(known: Certificate, digest: bytes, read: _Read) -> list[tuple[Kind, str]]:
    found: list[tuple[Kind, str]] = []
    if digest != read.digest:
        found.append(("differs", f"the ledger shows another certificate of this serial number, of {known.device_id}"))
    if read.used.device_id not in (None, known.device_id):
        found.append(("wrong_device", f"the ledger shows it as that of {known.device_id}"))
    if known.revoked_leaf is not None:
        found.append(("revoked", f"{known.reason}, on {_text(known.revoked_at)}"))
    return found


def _shared(state: LedgerState, read: list[_Read]) -> list[Finding]:
    """Certificates that several devices have, and keys that several devices have certificates of. Who has it is what is
    known of its user, else what the ledger says, else the place where it was found."""
    by_certificate: dict[bytes, dict[str, _Read]] = {}
    by_key: dict[bytes, dict[str, _Read]] = {}
    for one in read:
        known = state.certificates.get(one.serial)
        holder = one.used.device_id or (known.device_id if known else one.used.source)
        by_certificate.setdefault(one.digest, {}).setdefault(holder, one)
        by_key.setdefault(one.key_hash, {}).setdefault(holder, one)
    return [*_several("shared_certificate", by_certificate), *_several("shared_key", by_key)]


def _several(kind: Kind, groups: Mapping[bytes, Mapping[str, _Read]]) -> list[Finding]:
    found = []
    for holders in groups.values():
        if len(holders) > 1:
            one, names = next(iter(holders.values())), ", ".join(sorted(holders))
            found.append(Finding(kind, one.used.source, one.serial, one.used.device_id, f"of {names}"))
    return found


def _text(micros: int) -> str:
    return datetime.fromtimestamp(micros / 1e6, UTC).isoformat(timespec="seconds")
