"""What is asked of Flink, without one: which checkpoint is gone on from, and what a failure says."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from infra import trends
from infra.settings import Settings
from infra.stack import flink
from infra.stack.service import Unhealthy

TRACE = """org.apache.flink.runtime.JobException: Recovery is suppressed
\tat org.apache.flink.Handler.handle(Handler.java:180)
Caused by: java.io.IOException: Failed to deserialize consumer record
\tat org.apache.flink.Emitter.emit(Emitter.java:54)
\t... 14 more
Caused by: java.io.IOException: Could not find schema with id 99 in registry
\t... 20 more
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return replace(Settings(), data_dir=str(tmp_path))


def made(folder: Path, at: int) -> str:
    folder.mkdir(parents=True)
    (folder / "_metadata").touch()
    os.utime(folder / "_metadata", (at, at))
    return folder.as_uri()


def test_the_newest_checkpoint_or_savepoint_of_the_job_that_is_whole(settings: Settings) -> None:
    assert trends.newest_checkpoint(settings, "trends") is None
    ours, others = flink.checkpoints(settings, "trends"), flink.checkpoints(settings, "other")
    first = made(ours / "a" / "chk-7", 100)
    assert trends.newest_checkpoint(settings, "trends") == first
    second = made(ours / "b" / "chk-2", 200)
    made(others / "c" / "chk-9", 900)
    (ours / "b" / "chk-3").mkdir()  # not whole
    assert trends.newest_checkpoint(settings, "trends") == second
    savepoint = made(flink.savepoints(settings, "trends") / "savepoint-1", 300)
    assert trends.newest_checkpoint(settings, "trends") == savepoint


def test_a_failure_is_said_in_the_words_of_its_causes() -> None:
    said = "java.io.IOException: Failed to deserialize consumer record"
    assert trends.causes(TRACE) == f"{said}; java.io.IOException: Could not find schema with id 99 in registry"
    assert trends.causes("plain words\n\tat x.Y.z(Y.java:1)\n") == "plain words"


def test_a_job_that_was_stopped_need_not_run(settings: Settings) -> None:
    nobody = replace(settings, trends_port=1)
    flink.check_kept(nobody, "trends")
    flink.folder(nobody).mkdir()
    flink.wanted(nobody, "trends").touch()
    with pytest.raises(Unhealthy, match="flink: "):
        flink.check_kept(nobody, "trends")
