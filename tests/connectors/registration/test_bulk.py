"""Many pre-registrations in one request: the good ones are kept, the bad ones told."""

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.connectors.ingress.served import KEY as API_KEY
from tests.connectors.registration.devices import text
from tests.connectors.registration.world import World, world
from tests.streams.registration.keyring import key

PATH = "/v1/devices/pre-registrations"
KEY = text(key("ed25519").public)
HEADER = "serial_number,public_key,owner,model\n"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("world"), most_rows=400) as made:
        yield made


def post(running: World, body: str, media_type: str = "text/csv", **headers: str) -> Any:
    named = {"Content-Type": media_type, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return running.served.client.post(PATH, content=body, headers=named)


def known(running: World) -> list[str]:
    return [event.hardware_id for event in running.events() if type(event).__name__ == "DevicePreRegistered"]


def test_good_rows_are_kept_and_bad_ones_told_with_their_line(running: World) -> None:
    rows = [f"B-{number},{KEY},alice,M1" for number in range(300)]
    rows[10], rows[20], rows[299] = "B-10,AAAA,,", "claim-x,AAAA,,", "only-one"
    answer = post(running, HEADER + "\n".join(rows))
    assert answer.status_code == 200
    told = answer.json()
    assert (told["accepted"], told["refused"], told["rows"], told["complete"]) == (297, 3, 300, True)
    assert [(bad["line"], bad["code"]) for bad in told["errors"]] == [
        (12, "BAD_PUBLIC_KEY"),
        (22, "INVALID_BODY"),
        (301, "BAD_ROW"),
    ]
    assert sorted(known(running)) == sorted(f"B-{number}" for number in range(300) if number not in (10, 20, 299))


def test_lines_of_json(running: World) -> None:
    lines = [json.dumps({"serial_number": f"J-{number}", "public_key": KEY}) for number in range(20)]
    told = post(running, "\n".join([*lines, "{}"]), "application/x-ndjson; charset=utf-8").json()
    assert (told["accepted"], told["refused"]) == (20, 1)
    assert told["errors"][0]["line"] == 21


def test_the_same_file_again_with_its_key_changes_nothing(running: World) -> None:
    body = HEADER + "".join(f"R-{number},{KEY},,\n" for number in range(30))
    first = post(running, body, Idempotency_Key="file-1").json()
    before = len(known(running))
    assert post(running, body, Idempotency_Key="file-1").json() == first
    assert len(known(running)) == before


def test_more_rows_than_may_be_are_not_looked_at(running: World) -> None:
    told = post(running, HEADER + "".join(f"M-{number},{KEY},,\n" for number in range(450))).json()
    assert (told["accepted"], told["complete"]) == (400, False)


def test_what_was_taken_of_a_client_that_breaks_off_stays(running: World) -> None:
    head = (
        f"POST {PATH} HTTP/1.1\r\nhost: x\r\nx-api-key: {API_KEY}\r\ncontent-type: text/csv\r\ncontent-length: 99999\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", running.served.port)) as client:
        client.sendall((head + HEADER + f"G-1,{KEY},,\nG-2,{KEY},,\nG-3").encode())
    until = time.monotonic() + 10
    while {"G-1", "G-2"} - set(known(running)):
        assert time.monotonic() < until
        time.sleep(0.02)
    assert "G-3" not in known(running)
    assert post(running, HEADER + f"G-4,{KEY},,\n").json()["accepted"] == 1


def test_a_broker_that_goes_away_ends_it_and_what_was_taken_is_told(tmp_path: Path) -> None:
    with world(tmp_path) as running:
        running.served.producer.away = "on purpose"
        answer = post(running, HEADER + "".join(f"A-{number},{KEY},,\n" for number in range(2_000)))
        assert answer.status_code == 503
        assert "retry-after" in answer.headers
        told = answer.json()
        assert (told["accepted"], told["complete"]) == (0, False)
        assert told["rows"] < 2_000
        assert {bad["code"] for bad in told["errors"]} == {"REG-010"}
