"""Every snippet of docs/clients.md, run as it is on a real stack: it reads what was sent, and what it writes is there."""

import json
import re
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from clickhouse_driver import Client

from infra.settings import Settings
from tests.clients import install
from tests.clients.fleet import Fleet, Upload, Written, in_micros, running_fleet
from tests.clients.programs import first_lines, folder, output
from tests.clients.snippets import Snippet, snippets, statements

pytestmark = pytest.mark.stack
PAGE = snippets()
EXPORTS = PAGE["Before"][1].text
OSLO = 3  # the partition, of six, of the key "oslo" by the hash of Java's client
WEATHER = {"station": "oslo", "celsius": 4.5}
PROGRAMS = {"Python": "telemetry.py", "Java": "Telemetry.java", "Go": "main.go", "Node": "telemetry.mjs"}
LANGUAGES = {
    "Before": ["sh", "sh", "sh"],
    "Python": ["python", "sh"],
    "Java": ["java", "sh"],
    "Go": ["go", "sh"],
    "Node": ["js", "sh"],
    "kcat": ["sh", "python", "sh"],
    "Flink SQL": ["sql"],
    "ClickHouse": ["sql", "sql"],
    "curl": ["sh", "sh", "sh"],
}


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    install.ensure()
    (rest_topics,) = re.findall(r"^export FLEETLOG_REST_TOPICS='([^']+)'", PAGE["Before"][0].text)
    with running_fleet(tmp_path_factory.mktemp("clients"), rest_topics) as running:
        folder(running.directory)
        output(script(running, PAGE["Before"][2]), running.directory)
        for topic in ("weather-stations", "weather-notes", "weather-rows"):
            running.wait_for(topic)
        yield running


def script(fleet: Fleet, snippet: Snippet) -> str:
    assert snippet.language == "sh"
    return fleet.local(f"{EXPORTS}\n{snippet.text}")


def records(lines: list[str]) -> list[dict[str, Any]]:
    """The records that lines of JSON are, in the form of Upload.record, by device and sequence."""
    found = [in_micros(json.loads(line)) for line in lines]
    for record in found:
        record.pop("received_at")
    return sorted(found, key=lambda record: (record["device_id"], record["sequence"]))


def sent(fleet: Fleet) -> list[Upload]:
    return sorted(fleet.uploads, key=lambda upload: (upload.record["device_id"], upload.record["sequence"]))


def test_the_page_holds_what_is_run_here() -> None:
    assert {title: [snippet.language for snippet in found] for title, found in PAGE.items()} == LANGUAGES


def test_the_addresses_are_those_of_a_stack_with_default_settings() -> None:
    usual = Settings()
    assert f"KAFKA={usual.kafka} REGISTRY={usual.registry}\nexport URL={usual.ingress} " in EXPORTS


@pytest.mark.parametrize("title", PROGRAMS)
def test_a_program_reads_every_upload_and_writes_a_record(fleet: Fleet, title: str) -> None:
    program, command = PAGE[title]
    before = fleet.end("weather-stations")
    (fleet.directory / PROGRAMS[title]).write_text(program.text, "utf-8")
    lines = first_lines(script(fleet, command), fleet.directory, len(fleet.uploads))
    split = [line.split(" ", 3) for line in lines]
    places = {(int(partition), int(offset), key) for partition, offset, key, _ in split}
    assert places == {(upload.partition, upload.offset, upload.record["device_id"]) for upload in fleet.uploads}
    assert records([line[3] for line in split]) == [upload.record for upload in sent(fleet)]
    assert fleet.written("weather-stations", before) == [Written(OSLO, b"oslo", WEATHER, [])]
    assert fleet.versions("weather-stations-value") == [1], "every client's text is the same schema"


def test_kcat(fleet: Fleet) -> None:
    look, program, decode = PAGE["kcat"]
    lines = output(script(fleet, look), fleet.directory).splitlines()
    count = len(fleet.uploads)
    found = [
        re.fullmatch(r"(\d+) (\d+) (\S+) traceparent=00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]", line) for line in lines[:count]
    ]
    places = {(int(match[1]), int(match[2]), match[3]) for match in found if match}
    assert places == {(upload.partition, upload.offset, upload.record["device_id"]) for upload in fleet.uploads}
    (note,) = (json.loads(line) for line in lines[count:])
    assert (note["partition"], note["key"], note["payload"], note["headers"]) == (
        OSLO,
        "oslo",
        "4.5 degrees",
        ["by", "kcat"],
    )
    (fleet.directory / "decode.py").write_text(program.text, "utf-8")
    decoded = output(script(fleet, decode), fleet.directory).splitlines()
    assert records(decoded) == [upload.record for upload in sent(fleet)]


def test_flink_sql(fleet: Fleet) -> None:
    (sql,) = PAGE["Flink SQL"]
    before = fleet.end("weather-stations")
    (fleet.directory / "telemetry.sql").write_text(fleet.local(sql.text), "utf-8")
    source = install.HERE / "java" / "RunSql.java"
    jars = ":".join(str(jar) for jar in sorted((install.directory() / "flink").glob("*.jar")))
    printed = output(
        f"javac -cp '{jars}' -d flink {source} && java -cp 'flink:{jars}' RunSql telemetry.sql", fleet.directory
    )
    rows = [[cell.strip() for cell in line.split("|")[2:-1]] for line in printed.splitlines() if line.startswith("| +I |")]
    found = [
        (
            int(row[0]),
            int(row[1]),
            row[3],
            int(row[4]),
            row[5],
            int(row[6]),
            float(row[7]),
            None if row[8] == "<NULL>" else row[8],
        )
        for row in rows
    ]
    assert sorted(found) == sorted(row for upload in fleet.uploads for row in upload.rows)
    assert {row[2] for row in rows} == {upload.record["device_id"] for upload in fleet.uploads}
    (written,) = fleet.written("weather-stations", before)
    assert (written.key, written.value) == (b"oslo", WEATHER)
    assert fleet.versions("weather-stations-value") == [1]


def test_clickhouse(fleet: Fleet) -> None:
    make, ask = PAGE["ClickHouse"]
    before = fleet.end("weather-rows")
    wanted = sorted((*row[:5], *row[6:]) for upload in fleet.uploads for row in upload.rows)
    client = Client(fleet.settings.clickhouse, port=fleet.settings.clickhouse_port)
    try:
        for statement in statements(fleet.local(make.text)):
            client.execute(statement)
        (question,) = statements(ask.text)
        until = time.monotonic() + 30
        while len(rows := client.execute(question)) < len(wanted):
            assert time.monotonic() < until, rows
            time.sleep(0.2)
    finally:
        client.execute("DROP DATABASE IF EXISTS example SYNC")
        client.disconnect()
    assert sorted((*row[:2], *row[3:]) for row in rows) == wanted
    assert {row[2] for row in rows} == {upload.record["device_id"] for upload in fleet.uploads}
    assert [record.value for record in fleet.written("weather-rows", before)] == [WEATHER]


def test_the_asyncapi_document_is_what_broker_and_registry_have(fleet: Fleet) -> None:
    document = httpx.get(f"{fleet.settings.ingress}/asyncapi.json", timeout=20).raise_for_status().json()
    (server,) = document["servers"].values()
    registry = server["bindings"]["kafka"]["schemaRegistryUrl"]
    assert (server["host"], registry) == (fleet.settings.kafka, fleet.settings.registry)
    for channel in document["channels"].values():
        assert len(fleet.end(channel["address"])) == channel["bindings"]["kafka"]["partitions"]
        for message in channel["messages"].values():
            latest = httpx.get(f"{registry}/subjects/{message['x-subject']}/versions/latest", timeout=20).json()
            schema = document["components"]["schemas"][message["payload"]["$ref"].rpartition("/")[2]]["schema"]
            assert json.loads(latest["schema"]) == schema


def test_curl(fleet: Fleet) -> None:
    snippet = PAGE["curl"][0]
    before = fleet.end("weather-stations")
    text = output(script(fleet, snippet), fleet.directory)
    answers = []
    while text := text.lstrip():
        answer, end = json.JSONDecoder().raw_decode(text)
        answers.append(answer)
        text = text[end:]
    subjects, latest, produced, partitions = answers
    assert {"fleet.telemetry-value", "fleet.heartbeats-value"} <= set(subjects)
    assert (latest["subject"], json.loads(latest["schema"])["name"]) == ("fleet.telemetry-value", "TelemetryReceived")
    assert [offset["error_code"] for offset in produced["offsets"]] == [None]
    assert [record.value for record in fleet.written("weather-stations", before)] == [WEATHER]
    assert [partition["partition"] for partition in partitions] == list(range(6))
    assert fleet.versions("weather-stations-value") == [1]


def test_curl_v3(fleet: Fleet) -> None:
    before = fleet.end("weather-stations")
    answer = json.loads(output(script(fleet, PAGE["curl"][1]), fleet.directory))
    assert (answer["error_code"], answer["partition_id"], answer["offset"]) == (200, OSLO, before[OSLO])
    (written,) = fleet.written("weather-stations", before)
    assert (written.partition, written.key, written.value) == (OSLO, b"oslo", WEATHER)
    assert fleet.versions("weather-stations-value") == [1]


def test_curl_reads_by_position(fleet: Fleet) -> None:
    lines = output(script(fleet, PAGE["curl"][-1]), fleet.directory).splitlines()
    assert records([json.dumps(json.loads(line)["value"]) for line in lines]) == [upload.record for upload in sent(fleet)]
