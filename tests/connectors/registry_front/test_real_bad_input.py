"""Bombs at the real registry: a documented refusal, nothing half-done, and it goes on."""

import gzip
import json

import httpx
import pytest

pytestmark = pytest.mark.stack
TEN_MEGABYTES = 10_000_000


def wide(size: int) -> str:
    """A record of about `size` bytes."""
    fields = [{"name": f"f{number}", "type": "string", "doc": "x" * 900} for number in range(size // 1_000)]
    return json.dumps({"type": "record", "name": "Wide", "fields": fields})


def deep_array(levels: int) -> str:
    return '{"type":"array","items":' * levels + '"string"' + "}" * levels


def deep_record(levels: int) -> str:
    schema = '"string"'
    for number in range(levels):
        schema = f'{{"type":"record","name":"R{number}","fields":[{{"name":"a","type":{schema}}}]}}'
    return schema


@pytest.mark.parametrize(
    ("schema", "status", "code"),
    [
        (wide(TEN_MEGABYTES), 413, 413),
        (wide(3_000_000), 422, 42209),
        (wide(1_000_000), 422, 42209),
        (deep_array(1_000), 422, 42201),
        (deep_record(1_000), 422, 42201),
        (deep_array(30_000), 422, 42201),
        (deep_array(201), 422, 42201),
    ],
    ids=[
        "10 MB",
        "3 MB",
        "just too large",
        "arrays 1,000 deep",
        "records 1,000 deep",
        "arrays 30,000 deep",
        "just too deep",
    ],
)
def test_a_bomb_is_refused_and_leaves_nothing(client: httpx.Client, schema: str, status: int, code: int) -> None:
    for path in ("/subjects/bomb/versions", "/subjects/bomb", "/compatibility/subjects/bomb/versions/latest"):
        answer = client.post(path, json={"schema": schema})
        assert (answer.status_code, answer.json()["error_code"]) == (status, code)
    assert client.get("/subjects/bomb/versions?deleted=true").json()["error_code"] == 40401
    assert client.get("/health/ready").status_code == 200


def test_a_bomb_of_gzip_is_refused(client: httpx.Client) -> None:
    bomb = gzip.compress(json.dumps({"schema": " " * TEN_MEGABYTES}).encode())
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    answer = client.post("/subjects/bomb/versions", content=bomb, headers=headers)
    assert (answer.status_code, answer.json()["error_code"]) == (413, 413)


@pytest.mark.parametrize(
    "schema", [wide(880_000), deep_array(195), deep_record(60)], ids=["large", "deep", "records in records"]
)
def test_what_is_within_the_bounds_is_kept_whole(client: httpx.Client, schema: str) -> None:
    answer = client.post("/subjects/large/versions", json={"schema": schema})
    if answer.status_code == 409:  # after another of them
        assert client.put("/config/large", json={"compatibility": "NONE"}).status_code == 200
        answer = client.post("/subjects/large/versions", json={"schema": schema})
    assert answer.status_code == 200, answer.text[:300]
    kept = client.get(f"/schemas/ids/{answer.json()['id']}").json()["schema"]
    assert json.loads(kept) == json.loads(schema)
