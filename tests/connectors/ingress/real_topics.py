"""Topics made on a real broker beside a running ingress."""

import time
from collections.abc import Mapping

import httpx
from confluent_kafka.admin import AdminClient, NewTopic

from infra.api_key import api_key
from infra.stack.harness import Stack

SECONDS = 30


def make_topics(stack: Stack, partitions: Mapping[str, int]) -> None:
    """Makes topics and returns when the ingress writes to them.

    The controller answers before a broker has heard of a new topic, and the ingress asks the broker at most once a second
    for names that it does not know; so a request that follows at once may still be told that there is no such topic.
    """
    admin = AdminClient({"bootstrap.servers": stack.settings.kafka})
    made = admin.create_topics([NewTopic(name, count) for name, count in partitions.items()])
    for future in made.values():
        future.result(SECONDS)
    until = time.monotonic() + SECONDS
    while missing := partitions.keys() - admin.list_topics(timeout=SECONDS).topics.keys():
        assert time.monotonic() < until, f"the broker does not know {missing}"
        time.sleep(0.05)
    await_listed(stack, partitions, until)


def await_listed(stack: Stack, partitions: Mapping[str, int], until: float) -> None:
    headers = {"X-API-Key": api_key(stack.settings)}
    with httpx.Client(base_url=stack.settings.ingress, headers=headers, timeout=SECONDS) as client:
        while not partitions.keys() & set(client.get("/topics").raise_for_status().json()):
            assert time.monotonic() < until, f"the ingress lists none of {', '.join(partitions)}"
            time.sleep(0.05)
