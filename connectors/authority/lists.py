"""Certificate revocation lists (RFC 5280, section 5): full ones, and deltas that add what was revoked since."""

import threading
from collections.abc import Collection, Iterable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from connectors.authority.port import Revoked
from connectors.authority.profiles import Parent
from connectors.authority.signing import HASH, SigningKey
from schemas.message_values import RevocationReason

REASONS: dict[RevocationReason, x509.ReasonFlags] = {
    "unspecified": x509.ReasonFlags.unspecified,
    "key_compromise": x509.ReasonFlags.key_compromise,
    "ca_compromise": x509.ReasonFlags.ca_compromise,
    "affiliation_changed": x509.ReasonFlags.affiliation_changed,
    "superseded": x509.ReasonFlags.superseded,
    "cessation_of_operation": x509.ReasonFlags.cessation_of_operation,
    "certificate_hold": x509.ReasonFlags.certificate_hold,
    "privilege_withdrawn": x509.ReasonFlags.privilege_withdrawn,
    "aa_compromise": x509.ReasonFlags.aa_compromise,
}
UNSPECIFIED: RevocationReason = "unspecified"


def moment(micros: int) -> datetime:
    """The second of a time in microseconds since 1970 UTC: certificates and lists know no fractions."""
    return datetime.fromtimestamp(micros // 1_000_000, UTC)


class Made(NamedTuple):
    """A list that was given out. Times are microseconds since 1970 UTC."""

    der: bytes
    number: int
    at: int
    known: int
    """How many revocations it was made from."""
    serials: frozenset[str]


class RevocationLists:
    """The lists of one authority. Each is made again when half its life is over, a delta also when something was revoked;
    deltas refer to the full list that is given out now. Safe to be called from several threads."""

    def __init__(self, parent: Parent, seconds: int, delta_seconds: int) -> None:
        self._parent, self._seconds, self._delta_seconds = parent, seconds, delta_seconds
        self._full: Made | None = None
        self._delta: Made | None = None
        self._last_number = 0
        self._lock = threading.Lock()

    def full(self, revoked: Collection[Revoked], now: int) -> bytes:
        with self._lock:
            return self._current(revoked, now).der

    def delta(self, revoked: Collection[Revoked], now: int) -> bytes:
        with self._lock:
            base = self._current(revoked, now)
            made = self._delta
            stale = made is None or made.known != len(revoked) or now - made.at >= self._delta_seconds * 500_000
            if made is None or stale or made.at < base.at:
                added = [one for one in self._live(revoked, now) if one.serial not in base.serials]
                made = self._delta = self._make(added, len(revoked), now, self._delta_seconds, base.number)
            return made.der

    def _current(self, revoked: Collection[Revoked], now: int) -> Made:
        made = self._full
        if made is None or now - made.at >= self._seconds * 500_000:
            made = self._full = self._make(self._live(revoked, now), len(revoked), now, self._seconds)
        return made

    def _live(self, revoked: Collection[Revoked], now: int) -> list[Revoked]:
        """RFC 5280, 3.3: one list at least shows a certificate that expires."""
        return [one for one in revoked if one.not_after + self._seconds * 1_000_000 > now]

    def _make(self, entries: Collection[Revoked], known: int, now: int, seconds: int, base: int | None = None) -> Made:
        # Numbers rise, also over a restart, which forgets the lists: the clock gives them.
        number = self._last_number = max(now, self._last_number + 1)
        der = signed(self._parent, entries, number, now, seconds, base)
        return Made(der, number, now, known, frozenset(one.serial for one in entries))


def signed(
    parent: Parent, entries: Iterable[Revoked], number: int, now: int, seconds: int, base: int | None = None
) -> bytes:
    """A list, DER; a delta to the list of number `base` if that is given."""
    first = moment(now)
    # Through the constructor: the builder's method copies all entries for each that is added.
    builder = x509.CertificateRevocationListBuilder(
        issuer_name=parent.certificate.subject,
        last_update=first.replace(tzinfo=None),
        next_update=(first + timedelta(seconds=seconds)).replace(tzinfo=None),
        revoked_certificates=[_entry(one) for one in entries],
    )
    issuer = x509.AuthorityKeyIdentifier(bytes.fromhex(parent.key_id), None, None)
    builder = builder.add_extension(issuer, critical=False)
    builder = builder.add_extension(x509.CRLNumber(number), critical=False)
    if base is not None:
        builder = builder.add_extension(x509.DeltaCRLIndicator(base), critical=True)
    return builder.sign(SigningKey(parent.signer), HASH).public_bytes(Encoding.DER)


def _entry(revoked: Revoked) -> x509.RevokedCertificate:
    builder = x509.RevokedCertificateBuilder(int(revoked.serial, 16), moment(revoked.at).replace(tzinfo=None))
    if revoked.reason != UNSPECIFIED:  # RFC 5280, 5.3.1: then without a reason
        builder = builder.add_extension(x509.CRLReason(REASONS[revoked.reason]), critical=False)
    return builder.build()
