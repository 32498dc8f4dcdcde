"""Load on views, and readers who never look away."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import redis
from clickhouse_driver import Client

from infra.bench.memory import registered
from infra.bench.topic import Fleet, fill
from infra.stack.harness import Stack

PULSE, PULSE_RECORDS = 0.5, 100  # while there is load
LOOK = 0.02  # seconds between two looks: the stores have other work too
FAR_BEHIND = 3_000  # readings or records, more than comes in seconds: no reader may see the view go back so far


@contextmanager
def load(stack: Stack, devices: int) -> Iterator[None]:
    """Telemetry of the same devices, again and again."""
    ending = threading.Event()
    schema = registered(stack)

    def write() -> None:
        while not ending.wait(PULSE):
            fill(stack.settings.kafka, Fleet(PULSE_RECORDS, devices), schema, create=False)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join()


class Watcher:
    """Reads a view all the time, as users do, and keeps what was wrong."""

    def __init__(self, look: Callable[[], int]) -> None:
        self._look, self._ending = look, threading.Event()
        self.looks, self.highest = 0, 0
        self.wrong: list[str] = []
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> "Watcher":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ending.wait(LOOK):
            try:
                seen = self._look()
            except Exception as error:  # noqa: BLE001 - whatever a reader meets is what this is about
                self.wrong.append(repr(error))
                return
            self.looks += 1
            if seen < max(1, self.highest - FAR_BEHIND):
                self.wrong.append(f"{seen} after {self.highest}")
            self.highest = max(self.highest, seen)


def reader_of(stack: Stack, name: str, devices: int) -> Callable[[], int]:
    """A look at all of a view: how many telemetry records, or readings, it shows."""
    settings = stack.settings
    if name == "telemetry":
        client = Client(settings.clickhouse, port=settings.clickhouse_port)
        return lambda: int(client.execute("SELECT count() FROM fleetlog.telemetry")[0][0])
    held = redis.Redis.from_url(settings.redis, decode_responses=True)

    def documents() -> int:
        prefix = f"{name}:v{held.get(f'{name}:live') or 1}:doc:device-"
        pipe = held.pipeline(transaction=False)
        for device in range(devices):
            pipe.hget(f"{prefix}{device:06}", "count.telemetry")
        return sum(int(count) for count in pipe.execute())  # a document that is not there is a TypeError

    return documents
