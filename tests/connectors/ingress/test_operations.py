"""Health, metrics, OpenAPI, the key, the address."""

import json
import logging
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from prometheus_client.parser import text_string_to_metric_families

from connectors.http.server import PortTaken, listen
from infra import logging as logs
from infra.api_key import SHORTEST, api_key
from infra.settings import SettingError, Settings
from tests.connectors.ingress.served import KEY, Served, options, serving
from tests.connectors.ingress.uploads import telemetry

ROUTES = {
    ("get", "/.well-known/jwks.json"),
    ("post", "/v1/devices/{id}/token"),
    ("get", "/v1/log"),
    ("get", "/v1/log/{topic}"),
    ("get", "/v1/log/{topic}/{partition}"),
    ("post", "/v1/devices"),
    ("post", "/v1/devices/{id}/heartbeat"),
    ("post", "/v1/devices/{id}/telemetry"),
    ("post", "/v1/devices/{id}/events"),
    ("get", "/topics"),
    ("get", "/topics/{topic}"),
    ("post", "/topics/{topic}"),
    ("get", "/topics/{topic}/partitions"),
    ("get", "/topics/{topic}/partitions/{partition}"),
    ("post", "/topics/{topic}/partitions/{partition}"),
    ("get", "/topics/{topic}/partitions/{partition}/offsets"),
    ("get", "/brokers"),
    ("get", "/health"),
    ("get", "/health/live"),
    ("get", "/health/ready"),
    ("get", "/metrics"),
    ("get", "/openapi.json"),
    ("get", "/asyncapi.json"),
}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(options(tmp_path_factory.mktemp("ingress"))) as running:
        yield running


def test_the_openapi_document_is_valid_and_lists_every_route(served: Served) -> None:
    document = served.client.get("/openapi.json").json()
    OpenAPIV31SpecValidator(document).validate()
    assert document["openapi"].startswith("3.1.")
    described = {(method, path) for path, item in document["paths"].items() for method in item}
    assert described == {(route.method.lower(), route.path) for route in served.ingress.routes}
    assert {(method, path) for method, path in described if not path.startswith("/v3/")} == ROUTES  # v3: its case tables
    ids = [operation["operationId"] for item in document["paths"].values() for operation in item.values()]
    assert len(set(ids)) == len(ids)


def test_the_document_describes_what_an_upload_is_checked_against(served: Served) -> None:
    paths = served.client.get("/openapi.json").json()["paths"]
    content = paths["/v1/devices/{id}/telemetry"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    one = content["oneOf"][0]
    assert one["additionalProperties"] is False
    assert set(one["required"]) == {"occurred_at", "boot_id", "sequence", "readings"}


def test_health(served: Served) -> None:
    assert served.client.get("/health/live").json() == {"status": "live", "checks": {}}
    for path in ("/health", "/health/ready"):
        answer = served.client.get(path)
        assert (answer.status_code, answer.json()) == (
            200,
            {"status": "ready", "checks": {"broker": "ok", "recovery": "ok"}},
        )


def test_metrics_are_prometheus_text_with_a_latency_histogram_and_produce_errors(served: Served) -> None:
    served.post("/v1/devices/d/telemetry", telemetry(77))
    served.post("/v1/devices/d/telemetry", b"{")
    answer = served.client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    families = {family.name: family for family in text_string_to_metric_families(answer.text)}
    latency = families["fleetlog_ingress_request_seconds"]
    assert latency.type == "histogram"
    counts = {
        (sample.labels["route"], sample.labels["status"]): sample.value
        for sample in latency.samples
        if sample.name.endswith("_count")
    }
    assert counts["/v1/devices/{id}/telemetry", "200"] >= 1
    assert counts["/v1/devices/{id}/telemetry", "400"] >= 1
    assert {
        "fleetlog_ingress_produce_errors",
        "fleetlog_ingress_records",
        "process_resident_memory_bytes",
    } <= families.keys()


def test_unknown_paths_make_no_metrics_of_their_own(served: Served) -> None:
    for number in range(20):
        served.client.get(f"/no/{number}")
    assert "/no/" not in served.client.get("/metrics").text


def test_only_the_service_s_own_pages_need_no_key(served: Served) -> None:
    served.client.headers.pop("X-API-Key")
    try:
        for method, path in ROUTES:
            status = served.client.request(method, path.replace("{id}", "d").replace("{topic}", "free")).status_code
            assert (status == 401) == path.startswith(("/v1", "/v3", "/topics", "/brokers")), path
        bearer = served.client.post("/v1/devices/d/telemetry", json=telemetry(), headers={"Authorization": f"Bearer {KEY}"})
        assert bearer.status_code == 200
        basic = served.client.post("/v1/devices/d/telemetry", json=telemetry(), headers={"Authorization": f"Basic {KEY}"})
        assert basic.status_code == 401
        assert basic.headers["www-authenticate"].startswith("Bearer")
    finally:
        served.client.headers["X-API-Key"] = KEY


def test_topics_are_opened_by_name_or_pattern() -> None:
    assert Settings().patterns("rest_topics") == ()
    assert Settings(rest_topics=" weather, sensor-*,,").patterns("rest_topics") == ("weather", "sensor-*")
    for text in ("weather;other", "[a-z]", "a b"):
        with pytest.raises(SettingError, match="FLEETLOG_REST_TOPICS"):
            _ = Settings(rest_topics=text).patterns("rest_topics")


def test_it_listens_on_loopback_unless_told_otherwise() -> None:
    assert Settings().host == "127.0.0.1"


def test_a_taken_port_is_told() -> None:
    with listen("127.0.0.1", 0) as held:
        held.listen()
        port = held.getsockname()[1]
        with pytest.raises(PortTaken, match=f"127.0.0.1:{port}"):
            listen("127.0.0.1", port)


def test_a_key_is_made_once_and_readable_by_its_owner_only(tmp_path: Path) -> None:
    settings = Settings(data_dir=str(tmp_path / "new"))
    key = api_key(settings)
    assert len(key) >= SHORTEST
    assert api_key(settings) == key
    assert (settings.data / "api-key").stat().st_mode & 0o777 == 0o600
    assert [file.name for file in settings.data.iterdir()] == ["api-key"]
    assert api_key(Settings(data_dir=str(tmp_path), api_key="given")) == "given"


@pytest.mark.parametrize("content", [b"", b"short", b"\xff" * 40, b"with\x07bell" * 5])
def test_a_file_that_holds_no_key_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "api-key").write_bytes(content)
    with pytest.raises(SettingError, match="api-key"):
        api_key(Settings(data_dir=str(tmp_path)))


def test_libraries_log_no_line_per_request() -> None:
    before = logging.getLogger().handlers[:], logging.getLogger().level
    stream = StringIO()
    try:
        logs.configure("test", "INFO", stream)
        for name in ("httpx", "httpcore.http11"):
            logging.getLogger(name).info("HTTP Request")
        logging.getLogger("httpx").warning("told")
    finally:
        logging.basicConfig(level=before[1], handlers=before[0], force=True)
        logging.captureWarnings(False)
    assert [json.loads(line)["message"] for line in stream.getvalue().splitlines()] == ["told"]
