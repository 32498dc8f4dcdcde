"""The limits of bodies: nesting, gzip."""

import gzip
import json
import os
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.http.body import MOST_MEMBERS, RATIO_FLOOR, inflate, too_deep
from connectors.http.request import Fault

LIMIT = 10_000_000
VALUES = st.recursive(
    st.none() | st.integers() | st.text(st.sampled_from('{}[]"\\a'), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('{}[]"\\', max_size=3), inner, max_size=3),
    max_leaves=12,
)


def depth(value: Any) -> int:
    if isinstance(value, dict | list):
        return 1 + max((depth(inner) for inner in (value.values() if isinstance(value, dict) else value)), default=0)
    return 0


@given(VALUES, st.integers(0, 6), st.sampled_from([None, 1]))
def test_depth_is_found_whatever_strings_hold(value: Any, limit: int, indent: int | None) -> None:
    assert too_deep(json.dumps(value, indent=indent).encode(), limit) == (depth(value) > limit)


@given(st.binary(max_size=200) | st.text('{}[]"\\', max_size=60).map(str.encode), st.integers(0, 5))
def test_depth_of_any_bytes_is_decided(body: bytes, limit: int) -> None:
    assert too_deep(body, limit) in (True, False)


@pytest.mark.parametrize(
    "body",
    [
        b"[" * LIMIT,
        b"[" * (LIMIT // 2) + b"]" * (LIMIT // 2),
        (b"[" * 31 + b"]" * 31 + b",") * (LIMIT // 63),
        b'{"a":' * 2_000_000,
        b'["' * 5_000_000,
        b'"\\' * 5_000_000,
        b"[]" * 5_000_000,
    ],
    ids=lambda body: body[:5].decode(),
)
def test_the_worst_bodies_are_decided_soon(body: bytes) -> None:
    started = time.process_time()
    too_deep(body, 32)
    assert time.process_time() - started < 2


@given(st.binary(max_size=5_000), st.integers(1, MOST_MEMBERS))
def test_gzip_of_one_or_more_members_is_inflated(content: bytes, members: int) -> None:
    size = len(content) // members + 1
    body = b"".join(gzip.compress(content[i * size : (i + 1) * size]) for i in range(members))
    assert inflate(body, LIMIT, 100) == content


@given(st.binary(max_size=300), st.data())
def test_gzip_that_is_cut_off_is_refused(content: bytes, data: st.DataObject) -> None:
    body = gzip.compress(content)
    cut = body[: data.draw(st.integers(0, len(body) - 1))]
    with pytest.raises(Fault) as fault:
        inflate(cut, LIMIT, 100)
    assert (fault.value.status, fault.value.code) == (400, "BAD_GZIP")


@given(st.binary(max_size=300))
def test_what_is_no_gzip_is_refused(body: bytes) -> None:
    with pytest.raises(Fault) as fault:
        inflate(b"\0" + body, LIMIT, 100)
    assert fault.value.code == "BAD_GZIP"


@pytest.mark.parametrize(
    ("size", "ratio", "taken"), [(RATIO_FLOOR, 1, True), (RATIO_FLOOR + 1, 1, False), (200_000, 1_000, True)]
)
def test_the_ratio_is_bounded_beyond_a_floor(size: int, ratio: float, taken: bool) -> None:
    body = gzip.compress(b" " * size)
    if taken:
        assert len(inflate(body, LIMIT, ratio)) == size
        return
    with pytest.raises(Fault) as fault:
        inflate(body, LIMIT, ratio)
    assert (fault.value.status, fault.value.code) == (413, "BODY_TOO_LARGE")


def test_what_was_sent_counts_for_the_ratio_and_the_limit_for_all() -> None:
    noise = os.urandom(1_000_000)
    assert inflate(gzip.compress(noise), LIMIT, 2) == noise
    with pytest.raises(Fault, match="999999 bytes"):
        inflate(gzip.compress(noise), 999_999, 2)


def test_more_members_than_allowed_are_refused_soon() -> None:
    started = time.process_time()
    with pytest.raises(Fault, match="members"):
        inflate(gzip.compress(b"") * 500_000, LIMIT, 100)
    assert time.process_time() - started < 2
