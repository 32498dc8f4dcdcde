"""The contract of ViewSnapshots, in memory and in files; and what a file that is damaged says."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from connectors.view_snapshot_files import BLOCK, ViewSnapshotFiles
from connectors.view_snapshots import Entry, Head, MemoryViewSnapshots, Span, Unusable

VIEW = "device_state"
ENTRIES = [Entry(f"dev-{number:05}", number, number + 1, {"count": str(number)}) for number in range(2 * BLOCK + 7)]


def head(number: int = 1, **changes: Any) -> Head:
    span = Span(0, 9, 1, 2)
    given = {"revision": 1, "made_at": 5, "positions": {"t/0": 9}, "records": 9, "spans": {"t/0": (span,)}, **changes}
    return Head(view=VIEW, number=number, routed={"t": True}, **given)


@pytest.fixture(params=["memory", "files"])
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Any]:
    """A function that opens the snapshots, anew where that means something."""
    memory = MemoryViewSnapshots()
    return lambda: memory if request.param == "memory" else ViewSnapshotFiles(tmp_path)


def test_what_is_saved_is_found_again_newest_first(made: Callable[[], Any]) -> None:
    assert made().heads(VIEW) == ([], [])
    first, second = made().save(head(), ENTRIES), made().save(head(2), ENTRIES[:1])
    assert made().heads(VIEW) == ([second, first], [])
    assert made().heads("another") == ([], [])
    assert (first.keys, first.latest_event, first.latest_received) == (len(ENTRIES), len(ENTRIES) - 1, len(ENTRIES))
    share = sum(1 for entry in ENTRIES if entry.event <= first.most_event) / len(ENTRIES)
    assert share == pytest.approx(7 / 8, abs=0.01)
    assert (first.spans, first.positions, first.routed) == (head().spans, {"t/0": 9}, {"t": True})


def test_entries_are_found_by_key_from_a_key_on_and_by_how_late_they_are(made: Callable[[], Any]) -> None:
    saved = made().save(head(), ENTRIES)
    snapshots = made()
    snapshots.check(saved)
    assert list(snapshots.entries(saved)) == ENTRIES
    for at in (0, 1, BLOCK - 1, BLOCK, BLOCK + 1, len(ENTRIES) - 1):
        assert snapshots.entry(saved, ENTRIES[at].key) == ENTRIES[at]
        assert list(snapshots.entries(saved, ENTRIES[at].key)) == ENTRIES[at + 1 :]
        assert list(snapshots.late(saved, ENTRIES[at].event, 10**9)) == ENTRIES[at + 1 :]
        assert list(snapshots.late(saved, 10**9, ENTRIES[at].received)) == ENTRIES[at + 1 :]
    for strange in ("", "a", "dev-00000x", "zz"):
        assert snapshots.entry(saved, strange) is None


def test_an_empty_snapshot_is_one(made: Callable[[], Any]) -> None:
    saved = made().save(head(), [])
    assert (made().heads(VIEW)[0], list(made().entries(saved)), made().entry(saved, "a")) == ([saved], [], None)


def test_entries_in_another_order_are_refused_and_nothing_is_kept(made: Callable[[], Any]) -> None:
    with pytest.raises(ValueError, match="ascend"):
        made().save(head(), [*ENTRIES, ENTRIES[0]])
    assert made().heads(VIEW) == ([], [])


def test_a_dropped_one_is_gone(made: Callable[[], Any]) -> None:
    saved = made().save(head(), ENTRIES)
    made().drop(VIEW, 1)
    assert made().heads(VIEW) == ([], [])
    with pytest.raises(Unusable):
        made().entry(saved, "dev-00001")
    with pytest.raises(KeyError):
        made().drop(VIEW, 1)


def test_a_flipped_bit_anywhere_is_named_and_never_believed(tmp_path: Path) -> None:
    snapshots = ViewSnapshotFiles(tmp_path)
    saved = snapshots.save(head(), ENTRIES)
    (file,) = tmp_path.glob("*/*")
    whole = file.read_bytes()
    for at in range(0, len(whole), 97):
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
        reading = ViewSnapshotFiles(tmp_path)
        with pytest.raises(Unusable, match=re.escape(str(file))):
            reading.check(saved)
        heads, damaged = reading.heads(VIEW)
        assert len(heads) + len(damaged) == 1


@pytest.mark.parametrize("length", [0, 10, 91, -1])
def test_a_file_that_is_cut_short_is_named(tmp_path: Path, length: int) -> None:
    ViewSnapshotFiles(tmp_path).save(head(), ENTRIES)
    (file,) = tmp_path.glob("*/*")
    file.write_bytes(file.read_bytes()[:length])
    heads, (damaged,) = ViewSnapshotFiles(tmp_path).heads(VIEW)
    assert heads == []
    assert damaged.name == str(file)


def test_a_save_that_fails_leaves_no_file(tmp_path: Path) -> None:
    def failing() -> Any:
        yield from ENTRIES
        raise RuntimeError("the log went away")

    with pytest.raises(RuntimeError):
        ViewSnapshotFiles(tmp_path).save(head(), failing())
    assert list(tmp_path.glob("*/*")) == []
