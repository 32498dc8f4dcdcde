"""Cutting a stream of bytes into records, and inflating one: whatever the parts in which it comes."""

import gzip
import json
import random
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.http.request import Fault
from connectors.ingress.v3_records_inflate import Inflating
from connectors.ingress.v3_records_splitter import Splitter

TEXT = st.text(alphabet='{}[]"\\,: aü😀\n\x00', max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=12,
)
OBJECTS = st.lists(st.dictionaries(TEXT, VALUES, max_size=4), max_size=6)
SPACE = st.text(alphabet=" \t\r\n", max_size=3)


def nested(depth: int) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for _ in range(depth):
        made = {"}{": made, 's"\\': '"}'}
    return made


def cut(body: bytes, sizes: list[int]) -> list[bytes]:
    """`body` in parts of the sizes, over and over."""
    parts, at, i = [], 0, 0
    while at < len(body):
        size = sizes[i % len(sizes)]
        parts.append(body[at : at + size])
        at, i = at + size, i + 1
    return parts


def split(parts: list[bytes], limit: int = 1_000_000) -> tuple[list[bytes | None], Splitter]:
    splitter = Splitter(limit)
    return [one for part in parts for one in splitter.feed(part)], splitter


@settings(max_examples=100, deadline=None)
@given(OBJECTS, st.lists(SPACE, min_size=1), st.booleans(), st.lists(st.integers(1, 40), min_size=1), st.integers(0, 30))
def test_any_cut_of_any_objects_gives_them_back(
    objects: list[Any], spaces: list[str], ascii_only: bool, sizes: list[int], depth: int
) -> None:
    texts = [json.dumps(one, ensure_ascii=ascii_only).encode() for one in [*objects, nested(depth)]]
    body = b"".join(text + spaces[i % len(spaces)].encode() for i, text in enumerate(texts))
    for parts in (cut(body, sizes), cut(body, [1]), [body], [b"", body, b""]):
        found, splitter = split(parts)
        assert found == texts
        assert (splitter.within, splitter.refused, splitter.held) == (False, "", 0)
        assert splitter.number == len(texts) + 1


@settings(max_examples=80, deadline=None)
@given(OBJECTS, st.binary(max_size=30), st.lists(st.integers(1, 40), min_size=1))
def test_any_cut_of_anything_gives_the_same(objects: list[Any], rest: bytes, sizes: list[int]) -> None:
    body = b"".join(json.dumps(one).encode() for one in objects) + rest
    whole, one_part = split([body])
    cut_up, many_parts = split(cut(body, sizes))
    # A part is not looked at after a refusal; what was found before it, and where it is, are the same.
    assert cut_up[: len(whole)] == whole
    if one_part.refused:
        assert many_parts.refused
        assert (many_parts.number, many_parts.begun) == (one_part.number, one_part.begun)
    else:
        assert (cut_up, many_parts.within, many_parts.held) == (whole, one_part.within, one_part.held)


@pytest.mark.parametrize(
    ("body", "number", "begun", "got"),
    [(b"1", 1, 0, "b'1'"), (b' {"a":1}\n,', 2, 9, "b','"), (b'{"a":"}"}[', 2, 9, "b'['"), (b"\xef\xbb\xbf{}", 1, 0, "xef")],
)
def test_the_place_of_what_is_no_object(body: bytes, number: int, begun: int, got: str) -> None:
    for parts in ([body], cut(body, [1])):
        splitter = Splitter(100)
        for part in parts:
            if not splitter.refused:
                splitter.feed(part)
        assert (splitter.number, splitter.begun) == (number, begun)
        assert got in splitter.refused


def test_a_record_beyond_the_limit_is_skipped_without_being_held() -> None:
    large = b'{"a":"' + b'{\\"' * 1000 + b'"}'
    for sizes in ([1], [7], [100], [len(large)], [100_000]):
        splitter, found, most = Splitter(500), [], 0
        for part in cut(b'{"b":1}' + large + b'{"c":2}', sizes):
            found += splitter.feed(part)
            most = max(most, splitter.held)
        assert found == [b'{"b":1}', None, b'{"c":2}']
        assert most <= 500


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":' * 400_000,
        b'{"' + b"x" * 2_000_000,
        b'{"' + b'\\"' * 1_000_000,
        b"{" * 2_000_000,
        b'{"a":[' + b"{}," * 600_000,
    ],
    ids=["nested", "string", "escapes", "braces", "list"],
)
def test_what_never_ends_takes_time_in_proportion(body: bytes) -> None:
    def seconds(size: int) -> float:
        started = time.process_time()
        splitter = Splitter(10_000_000)
        for part in cut(body[:size], [65_536]):
            assert splitter.feed(part) == []
        assert splitter.within
        return time.process_time() - started

    assert seconds(len(body)) < 40 * max(seconds(len(body) // 8), 0.005)


def test_gzip_comes_out_whatever_the_parts() -> None:
    content = b"".join(b'{"a":%d}' % number for number in range(5000))
    packed = gzip.compress(content[:20_000]) + gzip.compress(b"") + gzip.compress(content[20_000:])
    for sizes in ([1], [13], [4096], [len(packed)]):
        inflating = Inflating(100)
        assert b"".join(piece for part in cut(packed, sizes) for piece in inflating.feed(part)) == content
        assert inflating.whole


def test_gzip_that_is_cut_off_anywhere_is_not_whole() -> None:
    packed = gzip.compress(b'{"a":1}')
    for end in range(len(packed)):
        inflating = Inflating(100)
        for _ in inflating.feed(packed[:end]):
            assert not inflating.whole or end == 0
        assert not inflating.whole


@pytest.mark.parametrize(
    ("packed", "status"), [(b"xyz", 400), (gzip.compress(b"{}") + b"xyz", 400), (gzip.compress(bytes(10_000_000)), 413)]
)
def test_gzip_that_is_bad_or_a_bomb_is_refused(packed: bytes, status: int) -> None:
    with pytest.raises(Fault) as refused:
        list(Inflating(100).feed(packed))
    assert refused.value.status == status


def test_a_bomb_is_refused_before_much_is_made() -> None:
    made = Inflating(100).feed(gzip.compress(bytes(60_000_000)))
    sizes: list[int] = []
    with pytest.raises(Fault):
        sizes.extend(map(len, made))
    assert sum(sizes) < 10_000_000


def test_random_bytes_are_cut_or_refused() -> None:
    source = random.Random(4)  # a seed, so that a failure comes again
    for _ in range(2000):
        body = bytes(source.choice(b'{}[]"\\,:a1 \n\x80\xff') for _ in range(source.randrange(40)))
        for one in split([body])[0]:
            assert one is not None
            assert one.startswith(b"{")
            assert one.endswith(b"}")
