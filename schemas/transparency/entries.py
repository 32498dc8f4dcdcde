"""The ledger's leaves: which events are entered, and the bytes of an entry, which are the same for everybody for ever.

An entry is one line of canonical JSON (as RFC 8785: sorted names, no spaces, UTF-8): the event's record name as `type` and
its fields, bytes in base64, but for `leaf_index`, which says where in the tree it stands.
"""

import base64
import json

import msgspec

from schemas.certificate_messages import (
    AuthorityAdded,
    CertificateIssued,
    CertificateRenewed,
    CertificateRevoked,
    ExceptionGranted,
    MassRevocationConfirmed,
    MassRevocationRequested,
)
from schemas.messages import Message

Leaf = (
    CertificateIssued
    | CertificateRenewed
    | CertificateRevoked
    | ExceptionGranted
    | AuthorityAdded
    | MassRevocationRequested
    | MassRevocationConfirmed
)
Certified = CertificateIssued | CertificateRenewed

_ENVELOPE = "actor command_id correlation_id event_id occurred_at received_at"
_CERTIFICATE = (
    "certificate device_id hardware_id issuer_key_id key_algorithm key_hash model not_after not_before owner"
    " previous_serial purpose serial session_id"
)
# The fields of each record's first version. One that came later is nullable, and left out of the entry where it is null:
# so the entry of an old event stays what it was.
_FIELDS = {
    name: frozenset(f"{_ENVELOPE} {fields}".split())
    for name, fields in {
        "CertificateIssued": _CERTIFICATE,
        "CertificateRenewed": _CERTIFICATE,
        "CertificateRevoked": "detail device_id hardware_id reason revocation_id serial",
        "ExceptionGranted": "detail device_id hardware_id serial until",
        "AuthorityAdded": "certificate key_id not_after not_before",
        "MassRevocationRequested": "certificates expires_at reason revocation_id selector value",
        "MassRevocationConfirmed": "certificates revocation_id",
    }.items()
}


def canonical(event: Leaf) -> bytes:
    """The bytes of an event's entry."""
    name = type(event).__name__
    fields = _FIELDS[name]
    values: dict[str, object] = {"type": name}
    for field, value in msgspec.structs.asdict(event).items():
        if field == "leaf_index" or (value is None and field not in fields):
            continue
        values[field] = base64.b64encode(value).decode() if isinstance(value, bytes) else value
    return json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def as_leaf(message: Message | None) -> Leaf | None:
    """The event, if it is one that is entered."""
    return message if isinstance(message, Leaf) else None
