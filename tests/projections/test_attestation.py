"""An attestation is read as it was written, by who has the key; whatever is edited is named."""

import re

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from projections.attestation import Attestation, Edited, opened
from schemas.log import TopicPartition
from schemas.transparency.notes import LOG, BadNote, Signer, Unsigned

SIGNER = Signer("fleetlog.test/views", LOG, Ed25519PrivateKey.from_private_bytes(b"\x07" * 32))
OTHER = Signer("fleetlog.test/views", LOG, Ed25519PrivateKey.from_private_bytes(b"\x08" * 32))
TOPICS = st.sampled_from(["fleet.telemetry", "fleet.heartbeats"])
HASHES = st.binary(min_size=32, max_size=32)
STATEMENTS = st.builds(
    Attestation,
    view=st.just("device_state"),
    version=st.integers(1, 9),
    revision=st.integers(1, 9),
    code=st.just("fleetlog 0.1.0"),
    time=st.just("2026-01-01T12:00:00Z"),
    corrections=st.integers(0, 9),
    partitions=st.dictionaries(st.sampled_from("012"), HASHES),
    positions=st.dictionaries(st.builds(TopicPartition, TOPICS, st.integers(0, 5)), st.integers(0, 2**62)),
    schemas=st.dictionaries(TOPICS, st.sets(st.integers(1, 99), min_size=1).map(lambda ids: tuple(sorted(ids)))),
)


def signed(statement: Attestation) -> str:
    return SIGNER.note(statement.text(SIGNER.key.name))


@given(STATEMENTS)
def test_what_was_signed_is_read_again(statement: Attestation) -> None:
    assert opened(signed(statement), SIGNER.key) == statement


@settings(max_examples=60, deadline=None)
@given(STATEMENTS, st.data())
def test_an_edited_line_is_named(statement: Attestation, data: st.DataObject) -> None:
    whole = signed(statement)
    lines = whole.split("\n\n")[0].split("\n")
    at = data.draw(st.integers(2, len(lines) - 2))
    edited = data.draw(st.sampled_from([lines[at] + "0", lines[at].upper(), lines[at][:-1]]))
    with pytest.raises(Edited, match=re.escape(f"edited: {edited[:100]}")):
        opened(whole.replace(f"\n{lines[at]}\n", f"\n{edited}\n", 1), SIGNER.key)


def test_other_keys_other_notes_and_missing_lines_are_refused() -> None:
    statement = Attestation("v", 1, 1, "c", "t", 0, {"0": b"x" * 32}, {TopicPartition("t", 0): 3}, {"t": (1,)})
    whole = signed(statement)
    with pytest.raises(Unsigned, match="not signed by"):
        opened(whole, OTHER.key)
    with pytest.raises(Edited, match="lines were signed"):
        opened(whole.replace("version 1\n", ""), SIGNER.key)
    with pytest.raises(BadNote, match="second line"):
        opened(SIGNER.checkpoint(3, b"x" * 32), SIGNER.key)
    text = statement.text(SIGNER.key.name)
    for edit, said in (
        (text.replace("version 1\n", ""), "no line 'version'"),
        (text.replace("version 1\n", "version x\n"), "'x' is no number"),
        (text.replace("root ", "rood "), "unknown"),
        (re.sub(r"partition 0 .*\n", "", text), "do not lead to the root"),
    ):
        with pytest.raises(BadNote, match=said):
            opened(SIGNER.note(edit), SIGNER.key)
