"""Signed notes, checkpoints and cosignatures, against the specifications' own examples and against forgeries."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from schemas.transparency.merkle import EMPTY_ROOT, leaf_hash
from schemas.transparency.notes import (
    LOG,
    WITNESS,
    BadNote,
    Head,
    Signer,
    Unsigned,
    check_signature,
    opened,
    parse_head,
    parse_key,
    parse_note,
    with_signatures,
)

# A note and its key from the documentation of Go's golang.org/x/mod/sumdb/note.
GO_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)


def signer(name: str = "example.com/log", kind: int = LOG, seed: int = 1) -> Signer:
    return Signer(name, kind, Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32))


def test_a_note_of_another_implementation() -> None:
    note = parse_note(GO_NOTE)
    assert note.whole == GO_NOTE
    key = parse_key(GO_KEY)
    assert key.text == GO_KEY
    assert check_signature(note, key) == 0
    with pytest.raises(Unsigned, match="is bad"):
        check_signature(note._replace(text=note.text.replace("answer", "Answer")), key)


def test_a_checkpoint() -> None:
    log = signer()
    whole = log.checkpoint(7, leaf_hash(b"x"))
    assert opened(whole, log.key) == Head("example.com/log", 7, leaf_hash(b"x"))
    assert opened(log.checkpoint(0, EMPTY_ROOT), log.key).size == 0
    with pytest.raises(Unsigned, match="not signed by"):
        opened(whole, signer(seed=2).key)
    with pytest.raises(Unsigned, match="is bad"):
        opened(whole.replace("\n7\n", "\n8\n"), log.key)


def test_a_checkpoint_of_another_log_with_the_same_key() -> None:
    private = Ed25519PrivateKey.generate()
    whole = Signer("example.com/log", LOG, private).checkpoint(1, EMPTY_ROOT)
    with pytest.raises(Unsigned):
        opened(whole, Signer("example.com/other", LOG, private).key)


def test_a_cosignature() -> None:
    log, witness = signer(), signer("witness.example/w1", WITNESS, 3)
    whole = log.checkpoint(7, leaf_hash(b"x"))
    text = parse_note(whole).text
    cosigned = with_signatures(whole, [witness.cosignature(text, 1_679_315_147)])
    assert check_signature(parse_note(cosigned), witness.key) == 1_679_315_147
    assert opened(cosigned, log.key).size == 7
    again = with_signatures(cosigned, [witness.cosignature(text, 1_679_315_148)])
    assert len(parse_note(again).signatures) == 2
    assert check_signature(parse_note(again), witness.key) == 1_679_315_148
    forged = [made._replace(data=b"\0" * 7 + b"\1" + made.data[8:]) for made in parse_note(again).signatures[1:]]
    with pytest.raises(Unsigned):
        check_signature(parse_note(with_signatures(whole, forged)), witness.key)


@pytest.mark.parametrize(
    "whole",
    [
        "",
        "text\n",
        "text\n\n",
        "text\n\n— name\n",
        "text\n\n— name !!!!\n",
        "text\n\n— na+me AAAAAAAA\n",
        "text\n\n— name AAAA\n",
        "text\n\n- name AAAAAAAA\n",
        "te\txt\n\n— name AAAAAAAA\n",
        "text\n\n— name AAAAAAAA",
        "text\n\n" + "— name AAAAAAAA\n" * 65,
        "x" * 70_000,
    ],
)
def test_what_is_no_note(whole: str) -> None:
    with pytest.raises(BadNote):
        parse_note(whole)


@pytest.mark.parametrize(
    "text",
    ["", "a\n", "a\n1\n", "a\n01\n" + "A" * 43 + "=\n", "a\n-1\nAA==\n", "a\n1\nAA==\n", "\n1\n" + "A" * 43 + "=\n"],
)
def test_what_is_no_checkpoint(text: str) -> None:
    with pytest.raises(BadNote):
        parse_head(text)


def test_further_lines_of_a_checkpoint_are_passed_over() -> None:
    assert parse_head(Head("a", 1, EMPTY_ROOT).text + "more\n") == Head("a", 1, EMPTY_ROOT)


@pytest.mark.parametrize("text", ["", "a+b", "a+00000000+AAAA", GO_KEY.replace("c74f", "c74e"), "a b+c74f20a3+AAAA"])
def test_what_is_no_key(text: str) -> None:
    with pytest.raises(BadNote):
        parse_key(text)


def test_a_name_that_no_key_may_have() -> None:
    with pytest.raises(BadNote):
        signer("two words")
