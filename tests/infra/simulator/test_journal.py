"""The journal says what was sent and acknowledged, whatever kills its writer."""

import os
import signal
import subprocess
import sys
from io import FileIO
from pathlib import Path

import pytest

from infra.simulator.journal import ACKNOWLEDGED, SENT, JournalError, JournalWriter, Kind, Run, runs


def only(folder: Path) -> Run:
    (run,) = runs(folder)
    return run


def written(folder: Path) -> JournalWriter:
    writer = JournalWriter(folder / "run", {"seed": 3})
    assert [writer.boot("dev-a", "boot-a"), writer.boot("dev-b", "boot-b")] == [0, 1]
    writer.sent(Kind.TELEMETRY, 0, 7, [2**64 - 1, 5])
    writer.sent(Kind.EVENT, 1, 0, [9])
    writer.acknowledged(Kind.TELEMETRY, 0, [(8, 3, 2**40), (7, 3, 12)])
    return writer


def test_what_was_written_is_read(tmp_path: Path) -> None:
    written(tmp_path).close()
    run = only(tmp_path)
    assert [(boot.device_id, boot.boot_id) for boot in run.boots] == [("dev-a", "boot-a"), ("dev-b", "boot-b")]
    assert run.sent.tolist() == [(0, 0, 7, 2**64 - 1), (0, 0, 8, 5), (2, 1, 0, 9)]
    assert run.acknowledged.tolist() == [(0, 0, 8, 3, 2**40), (0, 0, 7, 3, 12)]


def test_a_run_that_goes_on_is_read_as_far_as_it_is(tmp_path: Path) -> None:
    writer = written(tmp_path)
    assert len(only(tmp_path).sent) == 3
    writer.sent(Kind.HEARTBEAT, 1, 0, [1])
    assert len(only(tmp_path).sent) == 4
    writer.close()


@pytest.mark.parametrize("name", ["run.jsonl", "sent", "acknowledged"])
def test_a_torn_end_is_not_read(tmp_path: Path, name: str) -> None:
    """Cut anywhere: a prefix of whole rows or lines remains, never a row that was not written."""
    written(tmp_path).close()
    path = tmp_path / "run" / name
    whole, full = path.read_bytes(), only(tmp_path)
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        if name == "run.jsonl" and whole[:size].count(b"\n") < 3:
            # A boot's line comes before its rows; without it the files contradict each other.
            with pytest.raises(JournalError, match="names a boot that"):
                only(tmp_path)
            continue
        run = only(tmp_path)
        assert run.sent.tolist() == full.sent.tolist()[: size // SENT.itemsize if name == "sent" else None]
        assert (
            run.acknowledged.tolist()
            == full.acknowledged.tolist()[: size // ACKNOWLEDGED.itemsize if name == "acknowledged" else None]
        )


def test_files_that_a_crash_left_unmade_are_empty(tmp_path: Path) -> None:
    written(tmp_path).close()
    for name in ("sent", "acknowledged"):
        (tmp_path / "run" / name).unlink()
    assert (len(only(tmp_path).sent), len(only(tmp_path).acknowledged)) == (0, 0)
    (tmp_path / "run" / "run.jsonl").unlink()
    assert list(runs(tmp_path)) == []


def test_a_boot_that_is_noted_while_the_journal_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files are read one after the other, and the run goes on in between: that is no contradiction."""
    writer = written(tmp_path)
    plain = Path.stat

    def going_on(path: Path, **options: bool) -> os.stat_result:
        found = plain(path, **options)
        if path.name in ("sent", "acknowledged", "run.jsonl"):
            boot = writer.boot("dev-c", f"boot-{path.name}")
            writer.sent(Kind.TELEMETRY, boot, 0, [1])
            writer.acknowledged(Kind.TELEMETRY, boot, [(0, 0, 99)])
        return found

    monkeypatch.setattr(Path, "stat", going_on)
    run = only(tmp_path)
    monkeypatch.undo()
    sent = {(row[0], row[1], row[2]) for row in run.sent.tolist()}
    assert {(row[0], row[1], row[2]) for row in run.acknowledged.tolist()} <= sent
    writer.close()


def test_a_disk_that_takes_a_part_only(tmp_path: Path) -> None:
    """write() may take less than it was given, without an error; the rest must follow."""

    class Slow(FileIO):
        def write(self, data: object) -> int:
            return super().write(bytes(data)[:5])  # type: ignore[call-overload,no-any-return]

    writer = JournalWriter(tmp_path / "run", {})
    writer._sent.close()
    writer._sent = Slow(tmp_path / "run" / "sent", "ab")
    writer.boot("dev-a", "boot-a")
    writer.sent(Kind.TELEMETRY, 0, 0, [11, 12, 13])
    writer.close()
    assert [row[3] for row in only(tmp_path).sent.tolist()] == [11, 12, 13]


WRITER = """
import sys
from pathlib import Path
from infra.simulator.journal import JournalWriter, Kind
writer = JournalWriter(Path(sys.argv[1]) / "run", {})
boot = writer.boot("dev-a", "boot-a")
for sequence in range(10**9):
    writer.sent(Kind.TELEMETRY, boot, sequence, [sequence])
    writer.acknowledged(Kind.TELEMETRY, boot, [(sequence, 0, sequence)])
    print(sequence, flush=True)
"""


def test_kill_9_takes_nothing_back(tmp_path: Path) -> None:
    """What the writer went on after is in the journal, and what is in it is whole."""
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if int(line) == 200:
            break
    process.send_signal(signal.SIGKILL)
    last = max([200, *(int(line) for line in process.stdout.read().splitlines()[:-1])])
    process.wait()
    process.stdout.close()
    run = only(tmp_path)
    assert [row[2] for row in run.sent.tolist()] == [row[3] for row in run.sent.tolist()] == list(range(len(run.sent)))
    assert len(run.sent) >= len(run.acknowledged) > last


def test_a_run_is_never_gone_on_with(tmp_path: Path) -> None:
    written(tmp_path).close()
    with pytest.raises(FileExistsError):
        JournalWriter(tmp_path / "run", {})


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"format": 9}\n', r"run\.jsonl: is of format 9, this reader knows 1"),
        (b'{"format": 1}\nnonsense\n', r"run\.jsonl:2: JSONDecodeError"),
        (b'{"format": 1}\n{"boot": 0}\n', r"run\.jsonl:2: KeyError"),
        (b"[]\n", r"run\.jsonl:1: TypeError"),
    ],
)
def test_what_no_simulator_wrote_is_refused_with_its_place(tmp_path: Path, line: bytes, message: str) -> None:
    written(tmp_path).close()
    (tmp_path / "run" / "run.jsonl").write_bytes(line)
    with pytest.raises(JournalError, match=message):
        only(tmp_path)
