"""The authority process on a real stack: it issues, enters, shows, revokes, signs fresh heads, takes up a new authority."""

import base64

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from connectors.ledger_http.service import document
from infra import pki
from infra.stack.harness import Stack
from schemas.certificate_messages import AuthorityAdded, CertificateIssued, CertificateRevoked, TreeHeadSigned
from schemas.registration_commands import RecordCertificate
from schemas.transparency.entries import canonical
from schemas.transparency.merkle import included, leaf_hash
from schemas.transparency.notes import opened
from schemas.transparency.tiles import Tile, TiledTree, entries_of, path_of
from streams.ledger.machine import EVENTS
from tests.infra.authority.fleet import Fleet

pytestmark = pytest.mark.stack


def test_the_authorities_are_entered_first(fleet: Fleet) -> None:
    (added,) = fleet.wait_for(EVENTS, 1, AuthorityAdded)
    assert isinstance(added, AuthorityAdded)
    assert added.leaf_index == 0


def test_a_certificate_comes_with_its_proof(fleet: Fleet, recorded: RecordCertificate) -> None:
    (issued,) = fleet.wait_for(EVENTS, 1, CertificateIssued)
    assert isinstance(issued, CertificateIssued)
    head = opened(recorded.checkpoint, fleet.key)
    leaf = leaf_hash(canonical(issued))
    assert included(leaf, recorded.leaf_index, recorded.tree_size, head.root, recorded.inclusion_proof)
    certificate = x509.load_der_x509_certificate(recorded.certificate)
    certificate.verify_directly_issued_by(x509.load_der_x509_certificate(recorded.chain[0]))
    assert f"{certificate.serial_number:x}" == recorded.serial


def test_the_ledger_is_shown_in_tiles(fleet: Fleet, recorded: RecordCertificate) -> None:
    head = fleet.head(recorded.tree_size)

    def fetch(tile: Tile) -> bytes:
        return fleet.http.get(f"/ledger/{path_of(tile)}").raise_for_status().content

    assert TiledTree(head.size, fetch).root() == head.root
    answer = fleet.http.get(f"/ledger/{path_of(Tile(None, 0, head.size))}")
    assert answer.headers["content-encoding"] == "gzip"
    assert "immutable" in answer.headers["cache-control"]
    entries = entries_of(answer.content)
    hashed = fetch(Tile(0, 0, head.size))
    assert b"".join(map(leaf_hash, entries)) == hashed
    for path in (Tile(0, 0, head.size + 1), Tile(None, 0, head.size + 1), Tile(1, 0, 1), Tile(0, 1, 1)):
        assert fleet.http.get(f"/ledger/{path_of(path)}").status_code == 404
    assert fleet.http.get("/ledger/tile/0/1").status_code == 404


def test_an_entry_is_shown_with_its_proof(fleet: Fleet, recorded: RecordCertificate) -> None:
    fleet.head(recorded.tree_size)
    shown = fleet.entry(recorded.serial)
    head = opened(str(shown["checkpoint"]), fleet.key)
    issued = shown["issued"]
    assert isinstance(issued, dict)
    proof = [base64.b64decode(step) for step in issued["inclusion_proof"]]
    assert included(leaf_hash(issued["entry"].encode()), issued["leaf_index"], head.size, head.root, proof)
    assert shown["revocation"] is None
    assert fleet.http.get("/ledger/entry?serial=abc").status_code == 404
    assert fleet.http.get("/ledger/entry").status_code == 400


def test_a_revocation_is_in_ledger_list_and_ocsp(fleet: Fleet, recorded: RecordCertificate) -> None:
    certificate = x509.load_der_x509_certificate(recorded.certificate)
    issuer = x509.load_der_x509_certificate(recorded.chain[0])
    request = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, hashes.SHA256()).build()
    asked = request.public_bytes(Encoding.DER)

    def status() -> ocsp.OCSPCertStatus:
        answer = fleet.http.post("/pki/ocsp", content=asked, headers={"content-type": "application/ocsp-request"})
        return ocsp.load_der_ocsp_response(answer.content).certificate_status

    assert status() is ocsp.OCSPCertStatus.GOOD
    fleet.send(fleet.revoke(recorded.serial))
    (revoked,) = fleet.wait_for(EVENTS, 1, CertificateRevoked)
    assert isinstance(revoked, CertificateRevoked)
    fleet.head(revoked.leaf_index + 1)
    assert fleet.entry(recorded.serial)["revocation"] is not None
    path = base64.b64encode(asked).decode().replace("/", "%2F").replace("+", "%2B").replace("=", "%3D")
    told = ocsp.load_der_ocsp_response(fleet.http.get(f"/pki/ocsp/{path}").content)
    assert told.serial_number == certificate.serial_number
    key_id = str(fleet.wait_for(EVENTS, 1, AuthorityAdded)[0].key_id)
    crl = x509.load_der_x509_crl(fleet.http.get(f"/pki/{key_id}.crl").raise_for_status().content)
    delta = x509.load_der_x509_crl(fleet.http.get(f"/pki/{key_id}-delta.crl").raise_for_status().content)
    listed = [crl.get_revoked_certificate_by_serial_number(certificate.serial_number)]
    listed.append(delta.get_revoked_certificate_by_serial_number(certificate.serial_number))
    assert any(listed)
    for path in ("/pki/abc.crl", "/pki/abc", "/pki/ocsp/!!"):
        assert fleet.http.get(path).status_code in (400, 404)


def test_the_authorities_certificates(fleet: Fleet, recorded: RecordCertificate) -> None:
    root, *issuers = x509.load_pem_x509_certificates(fleet.http.get("/pki/ca.pem").content)
    assert recorded.chain[0] in [issuer.public_bytes(Encoding.DER) for issuer in issuers]
    issuers[0].verify_directly_issued_by(root)


def test_what_it_says_of_itself(fleet: Fleet) -> None:
    health = fleet.http.get("/health").json()
    assert health["role"] == "active"
    assert "fleetlog_ledger_leaves" in fleet.http.get("/metrics").text
    assert fleet.http.get("/openapi.json").json()["info"]["title"] == "fleetlog authority"
    assert document([])


def test_a_head_is_signed_anew_when_none_was_for_long(fleet: Fleet) -> None:
    def alone(head: TreeHeadSigned) -> bool:
        return head.actor == "authority" and head.tree_size > 1

    heads = fleet.wait_for(EVENTS, 2, TreeHeadSigned, alone)
    assert heads[0].occurred_at < heads[1].occurred_at


def test_an_authority_that_was_added_signs_from_then_on(stack: Stack, fleet: Fleet) -> None:
    (before,) = fleet.wait_for(EVENTS, 1, AuthorityAdded)
    pki.roll(stack.settings)
    _, after = fleet.wait_for(EVENTS, 2, AuthorityAdded)
    command = fleet.issue(70)
    fleet.send(command)
    (issued,) = fleet.wait_for(EVENTS, 1, CertificateIssued, lambda event: event.command_id == command.command_id)
    assert issued.issuer_key_id == after.key_id != before.key_id
    assert fleet.http.get(f"/pki/{after.key_id}.crl").status_code == 200
