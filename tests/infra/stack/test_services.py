"""Which services the settings ask for, and how."""

from dataclasses import fields, replace
from pathlib import Path

import pytest

from infra.settings import SECRETS, Settings, child_environment
from infra.stack import broker
from infra.stack.service import StackError, levels
from infra.stack.services import plan

ALL = ["broker", "redis", "clickhouse", "registry", "registry-front", "topics", "schemas"]
ALL += ["pki", "authority", "ingress", "worker-0", "worker-1", "archiver"]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=str(tmp_path), workers=2)


def names(settings: Settings, only: list[str] | None = None) -> list[str]:
    return [service.name for service in plan(settings, only)]


def test_everything_by_default(settings: Settings) -> None:
    assert names(settings) == ALL


@pytest.mark.parametrize(
    ("setting", "value", "name"),
    [
        ("bootstrap_servers", "kafka:9092", "broker"),
        ("redis_url", "redis://redis:6379/0", "redis"),
        ("clickhouse_host", "clickhouse", "clickhouse"),
        ("registry_url", "http://registry:8081", "registry"),
        ("ingress_url", "http://ingress:8082", "ingress"),
    ],
)
def test_an_outside_one_takes_the_place_of_the_local_one(settings: Settings, setting: str, value: str, name: str) -> None:
    outside = replace(settings, **{setting: value})
    assert names(outside) == [one for one in ALL if one.removesuffix("-front") != name]
    with pytest.raises(StackError, match=f"{name}.*: the settings name an outside one"):
        plan(outside, [name])


def test_the_archiver_can_be_left_out(settings: Settings) -> None:
    assert names(replace(settings, archiver=0)) == [name for name in ALL if name != "archiver"]
    with pytest.raises(StackError, match="the stack has no 'archiver'"):
        plan(replace(settings, archiver=0), ["archiver"])


def test_flink_is_there_only_where_it_is_asked_for(settings: Settings) -> None:
    with pytest.raises(StackError, match="the stack has no 'trends'"):
        plan(settings, ["trends"])
    asked = replace(settings, trends=1)
    assert names(asked) == [*ALL, "flink-jobs", "flink-tasks", "trends"]
    order = [{service.name for service in level} for level in levels(plan(asked, ["trends"]))]
    assert order == [{"flink-jobs"}, {"flink-tasks"}, {"trends"}]
    with pytest.raises(StackError, match="there is no PyFlink"):
        plan(replace(asked, flink_environment="/nowhere"))


def test_a_choice_keeps_the_order_and_knows_all_workers(settings: Settings) -> None:
    assert names(settings, ["workers", "broker"]) == ["broker", "worker-0", "worker-1"]
    with pytest.raises(StackError, match="the stack has no 'worker-2'"):
        plan(settings, ["worker-2"])


def test_what_needs_what(settings: Settings) -> None:
    order = [{service.name for service in level} for level in levels(plan(settings))]
    assert order == [
        {"broker", "redis", "clickhouse", "pki"},
        {"registry", "topics"},
        {"registry-front"},
        {"schemas"},
        {"authority", "ingress", "worker-0", "worker-1", "archiver"},
    ]


def test_each_port_names_its_setting(settings: Settings) -> None:
    for service in plan(settings):
        for port in service.ports:
            base = getattr(settings, port.setting)
            assert port.number == base + (1 if service.name == "worker-1" else 0)


def test_own_processes_get_the_settings_and_an_absolute_data_directory(settings: Settings) -> None:
    (worker,) = plan(replace(settings, data_dir="relative", log_level="DEBUG"), ["worker-1"])
    assert worker.environment["FLEETLOG_DATA_DIR"] == str(Path("relative").resolve())
    assert worker.environment["FLEETLOG_LOG_LEVEL"] == "DEBUG"
    assert worker.environment["MALLOC_ARENA_MAX"] == "2", "or glibc keeps twice the memory"
    assert worker.command[-4:] == ("infra.cli.main", "worker", "--index", "1")


def test_no_password_is_on_a_command_line(settings: Settings) -> None:
    secret = replace(settings, clickhouse_password="hush", api_key="hush")
    assert not [service.name for service in plan(secret) if any("hush" in word for word in service.command)]


def test_each_child_gets_the_secrets_that_it_needs_and_no_others(settings: Settings) -> None:
    secret = replace(settings, **{name: f"hush {name}" for name in SECRETS if name != "redis_url"})
    told = {
        service.name: {name for name in SECRETS if f"hush {name}" in service.environment.values()}
        for service in plan(secret)
    }
    of_keys = {"ca_passphrase", "pkcs11_pin"}
    assert {name: found for name, found in told.items() if found} == {
        "clickhouse": {"clickhouse_password"},
        "pki": of_keys,
        "authority": of_keys,
        "ingress": {"api_key", "principals"},
        "archiver": {"archive_access_key", "archive_secret_key", "clickhouse_password"},
        "worker-0": {"clickhouse_password"},
        "worker-1": {"clickhouse_password"},
    }
    outside = plan(replace(settings, redis_url="redis://:hush@elsewhere/0"))
    knowing = {service.name for service in outside if "redis://:hush@elsewhere/0" in service.environment.values()}
    assert knowing == {"authority", "ingress", "worker-0", "worker-1", "archiver"}


def test_whatever_sounds_like_a_secret_counts_as_one() -> None:
    sounding = ("password", "passphrase", "secret", "pin", "key")
    names = {field.name for field in fields(Settings) if field.name.rpartition("_")[2] in sounding}
    assert names - {"tls_key"} <= set(SECRETS), "a new one is named in infra.settings.SECRETS"


def test_a_child_gets_no_setting_of_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEETLOG_REDIS_URL", "redis://elsewhere:1/0")
    monkeypatch.setenv("KEPT", "yes")
    made = child_environment({"FLEETLOG_REDIS_PORT": "7"})
    assert made["FLEETLOG_REDIS_PORT"] == "7"
    assert made["KEPT"] == "yes"
    assert "FLEETLOG_REDIS_URL" not in made


def test_the_broker_listens_on_the_given_host_only_and_takes_the_largest_body(settings: Settings) -> None:
    text = broker.properties(replace(settings, host="127.0.0.9", max_body_bytes=40_000_000))
    values = dict(line.split("=", 1) for line in text.splitlines())
    assert values["listeners"] == "PLAINTEXT://127.0.0.9:9092,CONTROLLER://127.0.0.9:9093"
    assert values["advertised.listeners"] == "PLAINTEXT://127.0.0.9:9092"
    assert int(values["message.max.bytes"]) >= 40_000_000
    assert values["auto.create.topics.enable"] == "false"


def test_the_registry_is_chosen_with_its_front(settings: Settings) -> None:
    assert names(settings, ["registry", "broker"]) == ["broker", "registry", "registry-front"]


def test_the_front_knows_where_the_registry_behind_it_says_that_it_is_ready(settings: Settings) -> None:
    _, front = plan(settings, ["registry"], registry_management_port=4711)
    assert front.command[-3:] == ("registry", "--ready", "http://127.0.0.1:4711/health/ready")
