"""Putting records into an ingress's log in memory, and asking for them."""

import httpx

from schemas.log import TopicPartition
from tests.connectors.ingress.served import Served

FREE = TopicPartition("free", 0)
PATH = "/v1/log/free/0"


def put(served: Served, *values: bytes | None) -> None:
    for value in values:
        served.producer.log.append(FREE, b"k", value)


def code_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]
