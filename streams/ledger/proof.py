"""Checking a certificate's proof without asking anybody: what `fleetlog ledger prove` has written. Pure."""

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any

import msgspec

from schemas.transparency.merkle import included, leaf_hash
from schemas.transparency.notes import BadNote, NoteKey, Unsigned, opened


class ProvenLeaf(msgspec.Struct):
    """See connectors.ledger_http.api.ShownLeaf."""

    leaf_index: int
    entry: str
    inclusion_proof: list[str]


class Proof(msgspec.Struct):
    """See connectors.ledger_http.api.ShownEntry."""

    serial: str
    tree_size: int
    checkpoint: str
    issued: ProvenLeaf
    revocation: ProvenLeaf | None


class Unproven(ValueError):
    """A proof that proves nothing; the text says why."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What a proof shows: the entries of a certificate and of its revocation, as the ledger has them."""

    tree_size: int
    issued: dict[str, Any]
    revocation: dict[str, Any] | None

    @property
    def certificate(self) -> bytes:
        return base64.b64decode(self.issued["certificate"])


def check(data: bytes, key: NoteKey) -> Shown:
    """
    Raises:
        Unproven: it does not hold under the ledger's key.
    """
    try:
        proof = msgspec.json.decode(data, type=Proof)
        head = opened(proof.checkpoint, key)
        issued = _leaf(proof.issued, head.size, head.root)
        revocation = None if proof.revocation is None else _leaf(proof.revocation, head.size, head.root)
    except (msgspec.DecodeError, BadNote, Unsigned) as bad:
        raise Unproven(str(bad)) from None
    if issued.get("type") not in ("CertificateIssued", "CertificateRenewed") or issued.get("serial") != proof.serial:
        raise Unproven(f"leaf {proof.issued.leaf_index} is not that of certificate {proof.serial}")
    if revocation and (revocation.get("type"), revocation.get("serial")) != ("CertificateRevoked", proof.serial):
        raise Unproven(f"the second leaf is not that of a revocation of certificate {proof.serial}")
    return Shown(head.size, issued, revocation)


def _leaf(leaf: ProvenLeaf, size: int, root: bytes) -> dict[str, Any]:
    try:
        steps = [base64.b64decode(step, validate=True) for step in leaf.inclusion_proof]
    except (ValueError, binascii.Error) as error:
        raise Unproven(f"no base64: {error}") from None
    if not included(leaf_hash(leaf.entry.encode()), leaf.leaf_index, size, root, steps):
        raise Unproven(f"the entry is not leaf {leaf.leaf_index} of the {size} leaves under the signed head")
    entry = json.loads(leaf.entry)  # what the ledger signed is JSON
    if not isinstance(entry, dict):
        raise Unproven("the entry is no object")
    return entry
