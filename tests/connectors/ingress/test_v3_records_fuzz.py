"""Broken streams, broken records and Avro values that fit nothing: always an answer, never a fault of the server's."""

import json
import random
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.connectors.ingress.fake_cluster import CLUSTER
from tests.connectors.ingress.served import Served, options, serving
from tests.connectors.ingress.v3_records_cases import cases, named, names_of

PATH = f"/v3/clusters/{CLUSTER}/topics/free/records"
BODIES = [case.body for case in cases() if case.body and case.to == "free/records"]
TYPES: list[Any] = ["null", "boolean", "int", "long", "float", "double", "bytes", "string"]
VALUES: list[Any] = [None, True, 0, -1, 2**31, 2**63, 10**400, 1.5, 1e308, "", "a", "ü", "\ud800", "\x00", [], {}, [[]]]
VALUES += [{"int": 1}, {"string": 5}, {"a": {"b": None}}, {"null": None}]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(options(tmp_path_factory.mktemp("ingress"))) as running:
        yield running


@pytest.fixture(scope="module")
def names(shared: Served) -> dict[str, str]:
    return names_of(shared.registry.register)


def mutated(source: random.Random, body: bytes) -> bytes:
    made = bytearray(body)
    for _ in range(source.randrange(1, 4)):
        at = source.randrange(len(made) + 1)
        match source.randrange(4):
            case 0:
                made[at:at] = source.choice([b"{", b"}", b'"', b"\\", b"\x00", b"\xff", b"1e999", b"[[[", b"null", b","])
            case 1:
                del made[at : at + source.randrange(1, 9)]
            case 2:
                made[at : at + 1] = bytes([source.randrange(256)])
            case _:
                made = made + made[at:]
    return bytes(made)


def parts(source: random.Random, body: bytes) -> Iterator[bytes]:
    while body:
        size = source.choice([1, 3, 20, 1000])
        yield body[:size]
        body = body[size:]


def check(answer: httpx.Response) -> None:
    assert answer.status_code < 500, answer.text
    for line in answer.text.splitlines():
        told = json.loads(line)
        assert told["error_code"] == 200 or 400 <= told["error_code"] < 500 or 40000 <= told["error_code"] < 50000, line


@pytest.mark.parametrize("seed", range(4))
def test_broken_streams(shared: Served, names: dict[str, str], seed: int) -> None:
    source = random.Random(seed)
    for _ in range(120):
        body = "".join(named(source.choice(BODIES), names) for _ in range(source.randrange(1, 5))).encode()
        if source.random() < 0.8:
            body = mutated(source, body)
        content = list(parts(source, body)) if source.random() < 0.5 else body
        headers = {"Content-Type": "application/json"}
        check(shared.client.post(PATH, content=iter(content) if isinstance(content, list) else content, headers=headers))
    assert shared.ingress.bodies.buffered == 0


@pytest.mark.parametrize("seed", range(2))
def test_broken_batches(shared: Served, names: dict[str, str], seed: int) -> None:
    source = random.Random(seed)
    entries = [json.loads(body) for body in (named(one, names) for one in BODIES) if body.startswith("{") and _whole(body)]
    for _ in range(100):
        chosen = [{"id": str(i), **source.choice(entries)} for i in range(source.randrange(1, 5))]
        body = mutated(source, json.dumps({"entries": chosen}).encode())
        answer = shared.post(f"{PATH}:batch", body)
        assert answer.status_code in (207, 400, 422), answer.text
        assert answer.json()
    assert shared.ingress.bodies.buffered == 0


def _whole(body: str) -> bool:
    try:
        json.loads(body)
    except ValueError:
        return False
    return True


def schema(source: random.Random, depth: int = 0) -> Any:
    kind = source.randrange(8 if depth < 3 else 4)
    name = f"n{source.randrange(10**9)}"
    match kind:
        case 4:
            return {"type": "array", "items": schema(source, depth + 1)}
        case 5:
            return {"type": "map", "values": schema(source, depth + 1)}
        case 6:
            return source.sample(TYPES, 3)
        case 7:
            fields = [{"name": f"f{i}", "type": schema(source, depth + 1)} for i in range(source.randrange(3))]
            return {"type": "record", "name": name, "fields": fields}
        case 3:
            return source.choice(
                [{"type": "enum", "name": name, "symbols": ["A"]}, {"type": "fixed", "name": name, "size": 2}]
            )
    return source.choice(TYPES)


def value(source: random.Random, of: Any) -> Any:
    """A value that often fits the schema, at least on top."""
    if source.random() < 0.3:
        return source.choice(VALUES)
    if isinstance(of, dict) and of["type"] == "record":
        return {field["name"]: value(source, field["type"]) for field in of["fields"] if source.random() < 0.9}
    if isinstance(of, dict) and of["type"] == "array":
        return [value(source, of["items"]) for _ in range(source.randrange(3))]
    if isinstance(of, dict) and of["type"] == "map":
        return {source.choice("abü"): value(source, of["values"])}
    if isinstance(of, list):
        branch = source.choice(of)
        return None if branch == "null" else {branch: value(source, branch)}
    if isinstance(of, dict):
        return "A"
    return {"int": 1, "long": -5, "string": "x", "bytes": "ÿ", "boolean": True, "float": 1, "double": 2.5}.get(of)


@pytest.mark.parametrize("seed", range(3))
def test_avro_values(shared: Served, seed: int) -> None:
    source, written = random.Random(seed), 0
    for _ in range(60):
        declared = schema(source)
        records = [
            json.dumps({"value": {"type": "AVRO", "schema": json.dumps(declared), "data": value(source, declared)}})
            for _ in range(5)
        ]
        headers = {"Content-Type": "application/json"}
        answer = shared.client.post(PATH, content="\n".join(records).encode("utf-8", "surrogatepass"), headers=headers)
        check(answer)
        lines = answer.text.splitlines()
        assert len(lines) == 5
        written += sum(json.loads(line)["error_code"] == 200 for line in lines)
    assert written > 50, "the values are not all nonsense"
