"""The real registry killed, frozen and restarted behind its front: no answer is ever wrong, and it comes back by itself."""

import signal
import threading
import time
from collections.abc import Iterator

import httpx
import pytest

from infra.settings import Settings
from infra.stack.harness import Stack, running_stack

pytestmark = pytest.mark.stack
DEADLINE = 2.0


@pytest.fixture(scope="module")
def own_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    settings = Settings(request_deadline=DEADLINE)
    # A stack of its own: the front has a setting of its own.
    with running_stack(tmp_path_factory.mktemp("away"), only=("broker", "registry"), settings=settings) as running:
        yield running


@pytest.fixture
def client(own_stack: Stack) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=own_stack.settings.registry, timeout=30) as made:
        yield made


def schema(name: str) -> dict[str, str]:
    return {"schema": f'{{"type":"record","name":"{name}","fields":[]}}'}


def register(client: httpx.Client, name: str) -> int:
    answer = client.post(f"/subjects/{name}-value/versions", json=schema(name))
    assert answer.status_code == 200, answer.text
    return int(answer.json()["id"])


def is_away(answer: httpx.Response, code: int = 50003) -> bool:
    assert (answer.status_code, answer.json()["error_code"]) == (503, code), answer.text
    return "retry-after" in answer.headers


def test_while_the_registry_is_away_what_is_known_is_answered(own_stack: Stack, client: httpx.Client) -> None:
    known, other = register(client, "Known"), register(client, "Other")
    assert client.get(f"/schemas/ids/{known}").json() == schema("Known")
    client.put("/config/Known-value", json={"compatibility": "FULL"})
    own_stack.stop("registry")
    try:
        assert client.get(f"/schemas/ids/{known}").json() == schema("Known")
        assert register(client, "Known") == known
        assert client.get(f"/schemas/ids/{other}").json() == schema("Other"), "it was registered here"
        assert is_away(client.get(f"/schemas/ids/{other + 1_000}"))
        assert is_away(client.get("/subjects"))
        assert is_away(client.post("/subjects/New-value/versions", json=schema("New")))
        assert is_away(client.delete("/subjects/Known-value"))
        assert client.get("/health/ready").status_code == 503
        assert client.get("/health/live").status_code == 200
    finally:
        own_stack.start("registry")
    assert client.get("/config/Known-value").json() == {"compatibilityLevel": "FULL"}
    assert register(client, "New") > other
    assert client.get("/health/ready").status_code == 200


def test_a_registry_that_starts_is_never_taken_for_an_empty_one(own_stack: Stack, client: httpx.Client) -> None:
    """Apicurio answers before it has read its journal, and then knows no schema."""
    numbers = [register(client, f"Kept{number}") for number in range(5)]
    own_stack.kill("registry-front")  # what it remembers is gone
    own_stack.wait_healthy("registry-front", 30)
    told: list[int] = []
    ended = threading.Event()

    def ask() -> None:
        with httpx.Client(base_url=own_stack.settings.registry, timeout=30) as own:
            while not ended.is_set():
                told.append(own.get(f"/subjects/Kept{len(told) % 5}-value/versions").status_code)
                told.append(own.get(f"/schemas/ids/{numbers[len(told) % 5]}").status_code)
                time.sleep(0.005)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        own_stack.kill("registry")
        own_stack.wait_healthy("registry", 60)
        time.sleep(0.2)
    finally:
        ended.set()
        asking.join(30)
    assert set(told) == {200, 503}
    assert own_stack.restarts("registry-front") == 1


def test_a_frozen_registry_holds_up_nobody(own_stack: Stack, client: httpx.Client) -> None:
    known = register(client, "Frozen")
    own_stack.kill("registry", signal.SIGSTOP)
    started = time.monotonic()
    try:
        assert client.get(f"/schemas/ids/{known}").json() == schema("Frozen")
        assert is_away(client.get("/subjects"), 50002)
    finally:
        own_stack.kill("registry", signal.SIGCONT)
    assert time.monotonic() - started < 3 * DEADLINE
    own_stack.wait_healthy("registry", 60)
    assert client.get("/subjects").status_code == 200


def test_a_registry_that_dies_in_the_middle_has_done_it_or_not(own_stack: Stack, client: httpx.Client) -> None:
    """Registering again what was not answered gives one version, whatever became of the first time."""
    names = [f"Middle{number}" for number in range(12)]
    killing = threading.Timer(0.15, own_stack.kill, ("registry",))
    killing.start()
    for name in names:
        until = time.monotonic() + 60
        while client.post(f"/subjects/{name}-value/versions", json=schema(name)).status_code != 200:
            assert time.monotonic() < until
            time.sleep(0.05)
    killing.join()
    own_stack.wait_healthy("registry", 60)
    assert [client.get(f"/subjects/{name}-value/versions").json() for name in names] == [[1]] * len(names)
