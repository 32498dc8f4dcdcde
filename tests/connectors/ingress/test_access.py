"""Who may do what: rights, the file of principals, and both over HTTP."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.ingress.access import Access, BadPrincipals, Rights, principals
from connectors.ingress.principals_file import PrincipalsFile
from tests.connectors.ingress.served import CONTRACT, KEY, Served, key_of, options, principal, serving
from tests.connectors.ingress.uploads import telemetry

INTERNAL = ["_schemas", "__consumer_offsets", "kafkasql-journal", "registry-events"]
DEVICE_TOPICS = sorted(name for name, topic in CONTRACT.topics.items() if topic.access == "device")
FLEET_INTERNAL = sorted(CONTRACT.topics.keys() - set(DEVICE_TOPICS))
NAMES = st.sampled_from([*INTERNAL, *CONTRACT.topics, "weather", "weather-2", "other"])
PATTERNS = st.lists(st.sampled_from(["*", "weather*", "weather", "_*", "fleet.*", "kafkasql-journal"])).map(tuple)


def access(rights: Rights) -> tuple[Access, str]:
    made = Access(KEY, rights, CONTRACT)
    return made, hashlib.sha256(KEY.encode()).hexdigest()


def test_by_default_the_device_topics_only() -> None:
    made, owner = access(Rights())
    for right in (made.may_write, made.may_read, made.may_see):
        assert [name for name in (*CONTRACT.topics, *INTERNAL, "weather") if right(owner, name)] == sorted(
            DEVICE_TOPICS, key=list(CONTRACT.topics).index
        )
    assert not any(made.may_manage(owner, name) for name in (*CONTRACT.topics, *INTERNAL, "weather"))


@given(st.builds(Rights, PATTERNS, PATTERNS, PATTERNS, st.booleans()), NAMES)
def test_internal_topics_never_and_a_right_only_where_it_is_named(rights: Rights, topic: str) -> None:
    made, owner = access(rights)
    if topic in INTERNAL:
        assert not made.may_see(owner, topic)
    if topic in CONTRACT.topics:
        assert not made.may_manage(owner, topic)
        assert made.may_write(owner, topic) == (rights.devices and topic in DEVICE_TOPICS)
    elif made.may_write(owner, topic):
        assert rights.write
    assert made.may_read(owner, topic) >= made.may_write(owner, topic)


def test_a_caller_who_was_removed_may_nothing() -> None:
    made, _ = access(Rights(("*",)))
    assert not made.may_write("0" * 64, "fleet.telemetry")
    assert made.name("0" * 64) == ""


GOOD = f"""
[principals.weather]
key_sha256 = "{"a" * 64}"
write = ["weather*"]
read = ["fleet.dead-letters"]
devices = false
"""


def test_a_file_of_principals() -> None:
    found = principals(GOOD)
    assert found["a" * 64].name == "weather"
    assert found["a" * 64].rights == Rights(("weather*",), ("fleet.dead-letters",), (), devices=False)
    assert principals("") == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("principals", "is not TOML"),
        ("[people.a]", "people beside"),
        ("principals = 1", "no table beside"),
        ("[principals]\na = 1", "principals.a: is no table"),
        ("[principals.owner]", "principals.owner: a name is"),
        ("[principals.'a b']", "principals.a b: a name is"),
        ("[principals.a]", "principals.a.key_sha256: is no SHA-256"),
        (GOOD + "key = 1", "there is no key"),
        (GOOD + 'manage = "x"', "principals.weather.manage: is no list"),
        (GOOD + 'manage = ["a b"]', "principals.weather.manage: 'a b' matches no topic"),
        (GOOD.replace("false", "1"), "principals.weather.devices: is neither"),
        (GOOD + '\nfleet = "root"', "principals.weather.fleet: is neither"),
        (GOOD + GOOD.replace("weather]", "other]"), "principals.other: has the same key as weather"),
    ],
)
def test_a_bad_file_is_told_with_its_place(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(BadPrincipals, match=message):
        principals(text)
    file = tmp_path / "principals.toml"
    file.write_text(text)
    with pytest.raises(BadPrincipals, match=r"principals\.toml"):
        PrincipalsFile(file)


def test_a_changed_file_counts_and_a_spoiled_one_does_not(tmp_path: Path) -> None:
    file = tmp_path / "principals.toml"
    with patch("connectors.ingress.principals_file.LOOK_SECONDS", -1):
        others = PrincipalsFile(file)
        assert others() == {}
        file.write_text(GOOD)
        assert list(others()) == ["a" * 64]
        file.write_text("[principals.weather]")
        assert list(others()) == ["a" * 64]
        file.write_text(GOOD.replace("a" * 64, "b" * 64))
        os.utime(file, ns=(1, 1))
        assert list(others()) == ["b" * 64]
        file.unlink()
        assert others() == {}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    others = [principal("weather", write=("free",), devices=False), principal("reader", read=("free",))]
    with serving(options(tmp_path_factory.mktemp("ingress")), owner=Rights(), others=others) as running:
        yield running


def ask(served: Served, name: str, method: str, path: str, **more: object) -> httpx.Response:
    headers = {"X-API-Key": key_of(name), "Content-Type": "application/vnd.kafka.json.v2+json"}
    return served.client.request(method, path, headers=headers, **more)  # type: ignore[arg-type]


def test_each_principal_has_its_own_topics(served: Served) -> None:
    body = {"records": [{"value": 1}]}
    assert ask(served, "weather", "POST", "/topics/free", json=body).status_code == 200
    assert ask(served, "weather", "GET", "/topics").json() == ["free"]
    for name, topic in (("weather", "hidden"), ("weather", "fleet.telemetry"), ("reader", "free"), ("weather", "_schemas")):
        answer = ask(served, name, "POST", f"/topics/{topic}", json=body)
        assert (answer.status_code, answer.json()["error_code"]) == (403, 40301)
    assert "free" in ask(served, "reader", "GET", "/topics").json()
    assert served.post("/topics/free", body, Content_Type="application/vnd.kafka.json.v2+json").status_code == 403


def test_who_may_not_upload_for_devices_is_refused(served: Served) -> None:
    for path, body in (("/v1/devices/d/telemetry", telemetry()), ("/v1/devices", {})):
        answer = served.client.post(path, json=body, headers={"X-API-Key": key_of("weather")})
        assert (answer.status_code, answer.json()["code"]) == (403, "FORBIDDEN")
    assert served.client.post("/v1/devices/d/telemetry", json=telemetry()).status_code == 200


def test_an_unknown_key_is_nobodys(served: Served) -> None:
    assert ask(served, "nobody", "GET", "/topics").status_code == 401
