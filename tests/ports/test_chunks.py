"""The contract of Chunks, on the in-memory version and on ClickHouse: both hash rows to the same bytes."""

import hashlib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.chunks import Chunks, Range
from connectors.clickhouse_chunks import ClickHouseChunks
from connectors.memory_chunks import MemoryChunks
from connectors.rows import canonical
from infra.stack.harness import Stack
from schemas.row_bytes import row_hashes
from tests.ports.stores import TABLE, A, B, Opened, Store, frame, row, rows_of


def chunks_of(store: Store, services: Stack) -> Any:
    if hasattr(store, "table"):
        return MemoryChunks(store)
    return ClickHouseChunks(
        services.settings.clickhouse, services.settings.clickhouse_port, "default", "", "suite", store._table
    )


@pytest.fixture
def store(rows: Opened) -> Store:
    opened = rows.open()
    opened.prepare(1)
    return opened


@pytest.fixture
def chunks(store: Store, services: Stack) -> Iterator[Chunks]:
    made = chunks_of(store, services)
    yield made
    made.close()


def hashed(*frames: Any) -> bytes:
    """By the definition."""
    found = [one for made in frames for one in row_hashes(TABLE, canonical_rows(made))]
    return hashlib.sha256(b"".join(sorted(found))).digest()


def canonical_rows(made: Any) -> list[Any]:
    return list(canonical(TABLE, A if (made["partition"] == 0).all() else B, 0, 2**60, made).iter_rows())


def test_chunks_are_hashed_by_offset_whatever_the_batches(store: Store, chunks: Chunks) -> None:
    assert chunks.computed(1, Range(A, 0, 100), 10) == {}
    store.append(1, A, 0, 7, rows_of(A, 0, 7))
    store.append(1, A, 7, 25, rows_of(A, 7, 18))
    store.append(1, B, 0, 5, rows_of(B, 0, 5))
    expected = {0: hashed(rows_of(A, 0, 10)), 1: hashed(rows_of(A, 10, 18))}
    assert chunks.computed(1, Range(A, 0, 100), 10) == expected
    assert chunks.computed(1, Range(A, 10, 12), 10) == {1: hashed(rows_of(A, 10, 12))}
    assert chunks.computed(1, Range(B, 0, 5), 10) == {0: hashed(rows_of(B, 0, 5))}
    assert chunks.computed(2, Range(A, 0, 100), 10) == {}


def test_hashes_that_end_with_a_zero_byte_are_whole(store: Store, chunks: Chunks) -> None:
    """The server's text of a fixed string leaves such bytes off."""
    made = rows_of(A, 0, 1500)
    assert any(one.endswith(b"\0") for one in row_hashes(TABLE, canonical_rows(made)))
    store.append(1, A, 0, 1500, made)
    assert chunks.computed(1, Range(A, 0, 1500), 1500) == {0: hashed(made)}


def test_rows_are_hashed_by_key(store: Store, chunks: Chunks) -> None:
    store.append(1, A, 0, 20, rows_of(A, 0, 20))
    store.append(1, B, 0, 1, rows_of(B, 0, 1))
    found = chunks.by_key(1, Range(A, 5, 9))
    assert found == {f"device-{n}": hashed(*(rows_of(A, o, o + 1) for o in range(5, 9) if o % 3 == n)) for n in range(3)}
    assert chunks.by_key(1, Range(A, 5, 9), ["device-1", "none"]) == {"device-1": found["device-1"]}
    assert chunks.by_key(1, Range(A, 5, 9), []) == {}
    assert chunks.keys(1, {A: 2}) == 2
    assert chunks.keys(1, {}) == 0
    assert sorted(chunks.sample(1, 9)) == ["device-0", "device-1", "device-2"]
    assert len(chunks.sample(1, 2)) == 2


def test_hashes_are_kept_and_go_with_their_version(store: Store, chunks: Chunks) -> None:
    store.prepare(2)
    assert chunks.sealed(2) == {}
    chunks.seal(2, A, {0: b"x" * 32, 1: b"y" * 32})
    chunks.seal(2, A, {1: b"z" * 32})
    chunks.seal(2, B, {})
    assert chunks.sealed(2) == {A: {0: b"x" * 32, 1: b"z" * 32}}
    assert store.versions() == [1, 2]
    store.drop(2)
    chunks.seal(2, A, {0: b"x" * 32})
    assert chunks.sealed(2) == {}
    assert store.versions() == [1]
    store.prepare(2)
    assert chunks.sealed(2) == {}


text = st.text(st.characters(exclude_categories=("Cs",)), max_size=200)
values = st.fixed_dictionaries(
    {
        "device_id": text,
        "metric": text,
        "unit": st.none() | text,
        "at": st.integers(0, 4_000_000_000_000_000),
        "seen": st.none() | st.integers(-1_000_000, 4_000_000_000_000_000),
        "value": st.floats(),
        "limit": st.none() | st.floats(),
        "good": st.booleans(),
        "checked": st.none() | st.booleans(),
        "total": st.none() | st.integers(-(2**63), 2**63 - 1),
        "note": st.none() | text,
        "loads": st.lists(st.floats(), max_size=150),
        "files": st.lists(text, max_size=3),
    }
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(values, min_size=1, max_size=4))
def test_every_value_is_hashed_as_its_bytes(store: Store, chunks: Chunks, made: list[dict[str, Any]]) -> None:
    first = store.positions(1).get(A, 0)
    written = frame([row(A, first, number, **one) for number, one in enumerate(made)])
    store.append(1, A, first, first + 1, written)
    assert chunks.computed(1, Range(A, first, first + 1), 1) == {first: hashed(written)}
