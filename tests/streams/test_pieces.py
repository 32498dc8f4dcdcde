"""Pieces are the same records as the batches that they are made of."""

from hypothesis import given
from hypothesis import strategies as st

from connectors.memory import MemoryLog
from schemas.log import TopicPartition
from streams.pieces import Size, pieces

SOURCE = TopicPartition("fleet.telemetry", 0)


@given(st.lists(st.integers(0, 3), max_size=20), st.integers(1, 6), st.integers(1, 4))
def test_pieces_hold_the_same_records_in_order(holes: list[int], records: int, batch: int) -> None:
    kept = MemoryLog({SOURCE.topic: 1}, batch_records=batch)
    for number, hole in enumerate(holes):
        kept.skip(SOURCE, hole)
        kept.append(SOURCE, str(number % 5).encode(), str(number).encode())
    end = kept.bounds([SOURCE.topic])[SOURCE][1]
    small, large = list(kept.read(SOURCE, 0, end)), list(pieces(kept.read(SOURCE, 0, end), Size(records=records)))
    for taken in ("offsets", "keys", "values"):
        assert [one for b in small for one in getattr(b, taken)] == [one for b in large for one in getattr(b, taken)]
    assert all(len(piece) < records + batch for piece in large)
    edges = [piece.begins for piece in large] + [end]
    assert [piece.following for piece in large] == edges[1:]
    assert edges[0] == 0


def test_pieces_end_where_keys_or_bytes_are_enough() -> None:
    kept = MemoryLog({SOURCE.topic: 1}, batch_records=1)
    for number in range(6):
        kept.append(SOURCE, str(number).encode(), bytes(10))
    assert [len(p) for p in pieces(kept.read(SOURCE, 0, 6), Size(keys=2))] == [2, 2, 2]
    assert [len(p) for p in pieces(kept.read(SOURCE, 0, 6), Size(bytes=40))] == [4, 2]


def test_tombstones_are_as_large_as_nothing() -> None:
    kept = MemoryLog({SOURCE.topic: 1}, batch_records=1)
    for value in (None, bytes(10), None, bytes(10)):
        kept.append(SOURCE, b"key", value)
    assert [len(p) for p in pieces(kept.read(SOURCE, 0, 4), Size(bytes=20))] == [4]
