"""The canonical entries: pinned, so that no change of the code changes a leaf that somebody has."""

import hashlib
import json
from pathlib import Path

import msgspec
import pytest

from schemas import certificate_messages
from schemas.certificate_messages import CertificateRevoked, TreeHeadSigned
from schemas.transparency.entries import Leaf, as_leaf, canonical

EXAMPLES = Path(certificate_messages.__file__).parent / "examples"
PINNED = {
    "CertificateIssued": "8fa1856863ae2f47641566b64003d7460b0fc26d6ae987f4de43816100087b09",
    "CertificateRenewed": "9baf0fbdd3cc5d5e8d56945af55ac095b2f9edab3e6d0457dd6d167fab53e676",
    "CertificateRevoked": "8765976781d10c7f8933e83442ec42073ac585af5fb0a3571800fc9566c1c1ed",
    "ExceptionGranted": "7c37120c22188feba1372450341fbbeb32030a6eb6337f489705a83226129015",
    "AuthorityAdded": "be6762f5b83a7eda6920603dbf98ac1875e94125b80ae4d494f5e9fd27968e18",
    "MassRevocationRequested": "367cce674d543b7c4a6064680dddd1a7e5570acd0fd8dae214657a2b8b10ffe2",
    "MassRevocationConfirmed": "9591fbdbfa698d9e04f162cd61b4fb15d2689beaab78520fe232ebe7ad02f39d",
}
REVOKED = (
    '{"actor":"owner","command_id":"019aa000-0000-7000-8000-000000000002","correlation_id":"019aa000-'
    '0000-7000-8000-000000000003","detail":"as asked","device_id":"dev-019aa000","event_id":"019aa000-'
    '0000-7000-8000-000000000001","hardware_id":"SN-'
    '0001","occurred_at":1795302000000000,"reason":"key_compromise","received_at":1795302000000000,"revoc'
    'ation_id":"019aa000-0000-7000-8000-'
    '000000000005","serial":"5e1f00c0ffee","type":"CertificateRevoked"}'
)


def example(name: str) -> Leaf:
    """The record's first example; its bytes are told as Latin-1."""
    (file, *_) = sorted((EXAMPLES / name).glob("*.json"))
    made = getattr(certificate_messages, name)
    kinds = {field.name: field.type for field in msgspec.structs.fields(made)}
    values = json.loads(file.read_text("utf-8"))["values"]
    leaf = as_leaf(made(**{k: v.encode("latin-1") if kinds[k] is bytes else v for k, v in values.items()}))
    assert leaf is not None
    return leaf


@pytest.mark.parametrize("name", PINNED)
def test_entries_are_what_they_were(name: str) -> None:
    assert hashlib.sha256(canonical(example(name))).hexdigest() == PINNED[name]


def test_an_entry_as_a_person_reads_it() -> None:
    assert canonical(example("CertificateRevoked")).decode() == REVOKED


def test_where_it_stands_is_no_part_of_an_entry() -> None:
    event = example("CertificateRevoked")
    assert canonical(msgspec.structs.replace(event, leaf_index=event.leaf_index + 1)) == canonical(event)


def test_text_is_not_escaped_but_where_it_must_be() -> None:
    event = example("CertificateRevoked")
    assert isinstance(event, CertificateRevoked)
    entry = canonical(msgspec.structs.replace(event, detail='Ærø "x"\n\x1f\x7f'))
    assert '"detail":"Ærø \\"x\\"\\n\\u001f\x7f"'.encode() in entry


def test_every_field_of_the_first_version_is_in_the_entry() -> None:
    for name in PINNED:
        event = example(name)
        assert json.loads(canonical(event)).keys() == {"type", *event.__struct_fields__} - {"leaf_index"}


def test_heads_are_no_leaves() -> None:
    fields = dict.fromkeys(("command_id", "correlation_id", "actor", "event_id", "checkpoint"), "x")
    head = TreeHeadSigned(**fields, occurred_at=0, received_at=0, tree_size=0, root_hash=b"")
    assert as_leaf(head) is None
    assert as_leaf(None) is None
