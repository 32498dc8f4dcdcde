"""What an audit finds, each kind once; and the proofs that are checked offline."""

import base64
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from connectors.keys import der, key_hash
from schemas.certificate_messages import CertificateIssued, CertificateRevoked
from schemas.transparency.entries import canonical
from streams.ledger.audit import InUse, audit
from streams.ledger.proof import Proof, ProvenLeaf, Unproven, check
from streams.ledger.verification import Replay, replay
from tests.streams.ledger.world import DAY, SIGNER, START, World

KEY = ec.generate_private_key(ec.SECP256R1())
DAY_OF = datetime.fromtimestamp(START / 1e6, UTC)
Private = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def certificate(serial: int, key: Private = KEY, days: int = 90, name: str = "dev") -> bytes:
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
    builder = builder.serial_number(serial).not_valid_before(DAY_OF).not_valid_after(DAY_OF + timedelta(days=days))
    return builder.sign(KEY, hashes.SHA256()).public_bytes(Encoding.DER)


def ledger(*held: tuple[str, bytes], revoked: str = "") -> Replay:
    """A ledger that holds these certificates, by device."""
    world = World()
    for device, body in held:
        parsed = x509.load_der_x509_certificate(body)
        names = {**world.names()}
        names["event_id"], at = names["command_id"], names.pop("issued_at")
        event = CertificateIssued(
            **names,
            **dict.fromkeys(("occurred_at", "received_at", "not_before"), at),
            **dict.fromkeys(("previous_serial", "owner", "model")),
            leaf_index=len(world.log),
            serial=f"{parsed.serial_number:x}",
            device_id=device,
            hardware_id=f"SN-{device}",
            session_id=str(names["command_id"]),
            purpose="registration",
            not_after=int(parsed.not_valid_after_utc.timestamp() * 1e6),
            key_algorithm="EC P-256",
            key_hash=key_hash(der(parsed.public_key())),
            issuer_key_id="00",
            certificate=body,
        )
        world.machine.fold("ledger", event, world.end)
        world.log[world.end] = event
        world.end += 1
    if revoked:
        world.run(world.revoke(revoked))
    return replay(world.log.items(), SIGNER.key)


def found(held: Replay, *used: InUse, now: int = START) -> list[tuple[str, str, str | None]]:
    findings = audit(held.state, held.digests, used, now)
    return [(finding.kind, finding.serial, finding.device_id) for finding in findings]


def test_nothing_is_wrong() -> None:
    one = certificate(10)
    assert found(ledger(("a", one)), InUse("x", "a", one), InUse("y", None, one)) == []


def test_not_in_the_ledger_or_another_one_there() -> None:
    held = ledger(("a", certificate(10)))
    assert found(held, InUse("x", "a", certificate(11))) == [("not_in_ledger", "b", "a")]
    assert found(held, InUse("x", "a", certificate(10, name="other"))) == [("differs", "a", "a")]


def test_one_that_two_devices_have() -> None:
    one = certificate(10)
    held = ledger(("a", one))
    kinds = [kind for kind, _, _ in found(held, InUse("x", "a", one), InUse("y", "b", one))]
    assert kinds == ["wrong_device", "shared_certificate", "shared_key"]


def test_a_key_that_two_devices_have() -> None:
    one, two = certificate(10), certificate(11)
    held = ledger(("a", one), ("b", two))
    assert [kind for kind, _, _ in found(held, InUse("x", None, one), InUse("y", None, two))] == ["shared_key"]


def test_expired_and_expiring() -> None:
    one = certificate(10, days=90)
    held = ledger(("a", one))
    assert found(held, InUse("x", "a", one), now=START + 82 * DAY) == []
    assert found(held, InUse("x", "a", one), now=START + 84 * DAY) == [("expiring", "a", "a")]
    assert found(held, InUse("x", "a", one), now=START + 91 * DAY) == [("expired", "a", "a")]


def test_a_weak_key() -> None:
    weak = certificate(10, rsa.generate_private_key(65537, 1024))
    assert found(ledger(("a", weak)), InUse("x", "a", weak)) == [("weak_key", "a", "a")]


def test_revoked_and_still_in_use() -> None:
    one = certificate(10)
    assert found(ledger(("a", one), revoked="a"), InUse("x", "a", one)) == [("revoked", "a", "a")]


def test_what_is_no_certificate() -> None:
    assert found(ledger(), InUse("x", None, b"nonsense")) == [("unreadable", "", None)]


def proof_of(revoked: bool) -> bytes:
    world = World()
    serial = next(event for event in world.run(world.issue(1, 1)) if isinstance(event, CertificateIssued)).serial
    world.run(world.issue(2, 2))
    if revoked:
        world.run(world.revoke(serial))
    tree = world.machine.state.tree
    leaves = {type(event): event for event in reversed(world.log.values())}

    def leaf(event: CertificateIssued | CertificateRevoked) -> ProvenLeaf:
        steps = [base64.b64encode(step).decode() for step in tree.inclusion(event.leaf_index)]
        return ProvenLeaf(event.leaf_index, canonical(event).decode(), steps)

    revocation = leaf(leaves[CertificateRevoked]) if revoked else None
    checkpoint = SIGNER.checkpoint(tree.size, tree.root())
    return msgspec.json.encode(Proof(serial, tree.size, checkpoint, leaf(leaves[CertificateIssued]), revocation))


@pytest.mark.parametrize("revoked", [False, True])
def test_a_proof_holds(revoked: bool) -> None:
    shown = check(proof_of(revoked), SIGNER.key)
    assert shown.issued["device_id"] == "dev-1"
    assert (shown.revocation is not None) is revoked
    assert shown.certificate.startswith(b"certificate ")


def test_a_proof_that_was_changed_does_not() -> None:
    proof = msgspec.json.decode(proof_of(True), type=Proof)
    assert proof.revocation is not None
    other = msgspec.structs.replace(proof.issued, entry=proof.issued.entry.replace("dev-1", "dev-2"))
    for changed in (
        msgspec.structs.replace(proof, issued=other),
        msgspec.structs.replace(proof, serial="abc"),
        msgspec.structs.replace(proof, issued=proof.revocation),
        msgspec.structs.replace(proof, revocation=proof.issued),
        msgspec.structs.replace(proof, checkpoint=proof.checkpoint.replace("\n3\n", "\n4\n")),
        msgspec.structs.replace(proof, issued=msgspec.structs.replace(proof.issued, inclusion_proof=["!"])),
    ):
        with pytest.raises(Unproven):
            check(msgspec.json.encode(changed), SIGNER.key)
    with pytest.raises(Unproven):
        check(b"nonsense", SIGNER.key)
