"""One suite for every ObjectStore: in memory, in a folder, and in a bucket of a real S3 server."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from moto.server import ThreadedMotoServer

from connectors.folder_objects import FolderObjects
from connectors.objects import MemoryObjects, NoObject, ObjectStore, Refused
from connectors.ports import Away
from connectors.s3_objects import S3Objects, S3Options

BUCKET = "fleet-archive"


@pytest.fixture(scope="module")
def bucket() -> Iterator[S3Options]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        assert httpx.put(f"http://{host}:{port}/{BUCKET}").is_success
        yield S3Options(BUCKET, "", f"http://{host}:{port}", "us-east-1", "key", "secret", seconds=5.0)
    finally:
        server.stop()


@pytest.fixture(params=["memory", "folder", "s3"])
def objects(request: pytest.FixtureRequest, tmp_path: Path, bucket: S3Options) -> ObjectStore:
    match request.param:
        case "memory":
            return MemoryObjects()
        case "folder":
            return FolderObjects(tmp_path / "not" / "yet")
        case _:
            return S3Objects(replace(bucket, prefix=tmp_path.name))


def test_what_was_created_is_read_back(objects: ObjectStore) -> None:
    data = bytes(range(256)) * 1000
    assert objects.create("topics/a.b/0/x-1.avro", data)
    assert objects.get("topics/a.b/0/x-1.avro") == data
    assert objects.get_range("topics/a.b/0/x-1.avro", 255, 258) == b"\xff\x00\x01"
    assert objects.get_range("topics/a.b/0/x-1.avro", len(data) - 1, len(data) + 9) == b"\xff"
    assert objects.get_range("topics/a.b/0/x-1.avro", len(data), len(data) + 9) == b""


def test_an_empty_object_is_one(objects: ObjectStore) -> None:
    assert objects.create("empty", b"")
    assert objects.get("empty") == b""
    assert not objects.create("empty", b"x")


def test_an_object_is_written_once(objects: ObjectStore) -> None:
    assert objects.create("a", b"first")
    assert not objects.create("a", b"second")
    assert not objects.create("a", objects.get("a"))
    assert objects.get("a") == b"first"


def test_of_many_writers_of_one_name_one_gets_through(objects: ObjectStore) -> None:
    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(lambda i: (i, objects.create("claim", b"%d" % i * 10_000)), range(8)))
    (winner,) = [i for i, first in done if first]
    assert objects.get("claim") == b"%d" % winner * 10_000
    assert [stored.name for stored in objects.list("")] == ["claim"]


def test_a_list_holds_what_is_below_a_prefix_by_name(objects: ObjectStore) -> None:
    for name in ("t/b/2", "t/b/10", "t/bc/1", "t/a", "u"):
        objects.create(name, name.encode())
    assert [(one.name, one.size) for one in objects.list("t/b")] == [("t/b/10", 6), ("t/b/2", 5)]
    assert [one.name for one in objects.list("")] == ["t/a", "t/b/10", "t/b/2", "t/bc/1", "u"]
    assert list(objects.list("none")) == []


def test_a_removed_object_is_gone_and_may_be_removed_again(objects: ObjectStore) -> None:
    objects.create("a/b", b"1")
    objects.delete("a/b")
    objects.delete("a/b")
    with pytest.raises(NoObject, match="a/b"):
        objects.get("a/b")
    assert objects.create("a/b", b"2")


def test_what_is_not_there_is_named(objects: ObjectStore) -> None:
    with pytest.raises(NoObject, match="no/where"):
        objects.get("no/where")
    with pytest.raises(NoObject, match="no/where"):
        objects.get_range("no/where", 0, 1)


@pytest.mark.parametrize("name", ["", "/a", "a/", "a//b", "../a", "a/../b", ".hidden", "a/.b", "a b", "ä"])
def test_a_name_that_may_lead_elsewhere_is_refused(objects: ObjectStore, name: str) -> None:
    with pytest.raises(ValueError, match="no name of an object"):
        objects.create(name, b"")
    with pytest.raises(ValueError, match="no name of an object"):
        objects.get(name)


def test_a_bucket_that_is_not_there_is_a_refusal(bucket: S3Options) -> None:
    objects = S3Objects(replace(bucket, bucket="not-there"))
    with pytest.raises(Refused, match=r"not-there at .*no such bucket"):
        objects.create("a", b"")
    with pytest.raises(Refused, match="no such bucket"):
        list(objects.list(""))


def test_a_server_that_does_not_answer_is_away() -> None:
    objects = S3Objects(S3Options(BUCKET, "", "http://127.0.0.1:1", "us-east-1", "key", "secret", seconds=0.5))
    with pytest.raises(Away, match="s3://fleet-archive"):
        objects.get("a")


def test_a_folder_that_can_not_be_written_is_a_refusal(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(Refused, match="can't be written"):
        FolderObjects(tmp_path / "file").create("a", b"")


def test_what_a_killed_writer_left_is_seen_by_nobody(tmp_path: Path) -> None:
    objects = FolderObjects(tmp_path)
    objects.create("a/b", b"1")
    (tmp_path / "a" / ".0123").write_bytes(b"half")
    assert [one.name for one in objects.list("")] == ["a/b"]
