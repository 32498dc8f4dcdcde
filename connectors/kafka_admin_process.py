"""The process that holds librdkafka's admin client: calls come in on standard input, outcomes go out on standard output.

`python -m connectors.kafka_admin_process BOOTSTRAP_SERVERS SECONDS`, run by connectors.kafka_admin. It ends with its input.
"""

import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import BinaryIO

import msgspec
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from connectors.cluster import NewTopic
from connectors.kafka_admin_calls import CALLS, AdminCalls

THREADS = 8  # calls under way; more wait
SIZE_BYTES = 4  # in front of every message, most significant byte first


class Call(msgspec.Struct, array_like=True):
    """A call of AdminCalls. `arguments` are those of the call, as a list. Nobody waits for it after `until`, by the clock
    time.monotonic, which all processes share."""

    number: int
    name: str
    until: float
    arguments: msgspec.Raw


class Outcome(msgspec.Struct, array_like=True):
    """What became of the call with this number: its result, or librdkafka's error; its code is 0 where there is none."""

    number: int
    result: msgspec.Raw
    code: int = 0
    message: str = ""


ARGUMENTS: dict[str, object] = {"create": tuple[NewTopic, bool]}
"""Types of the arguments of calls that take more than plain values."""


def framed(message: msgspec.Struct) -> bytes:
    body = msgspec.msgpack.encode(message)
    return len(body).to_bytes(SIZE_BYTES, "big") + body


def outcome(calls: AdminCalls, call: Call) -> Outcome:
    """What becomes of a call."""
    arguments = msgspec.msgpack.decode(call.arguments, type=ARGUMENTS.get(call.name, list))
    try:
        result = CALLS[call.name](calls, *arguments)
    except KafkaException as failure:
        error = failure.args[0]
        return Outcome(call.number, msgspec.Raw(msgspec.msgpack.encode(None)), error.code(), error.str())
    except (ValueError, TypeError) as error:  # librdkafka's binding does not take an argument
        return Outcome(call.number, msgspec.Raw(msgspec.msgpack.encode(None)), KafkaError._INVALID_ARG, str(error))
    return Outcome(call.number, msgspec.Raw(msgspec.msgpack.encode(result)))


def serve(calls: AdminCalls, incoming: BinaryIO, outgoing: BinaryIO) -> None:
    """Answer calls, many at once, until the input ends."""
    writing = threading.Lock()

    def answer(call: Call) -> None:
        if time.monotonic() > call.until:
            return  # else calls would pile up behind a broker that does not answer
        message = framed(outcome(calls, call))
        with writing:
            outgoing.write(message)
            outgoing.flush()

    pool = ThreadPoolExecutor(THREADS, "call")
    while size := incoming.read(SIZE_BYTES):
        pool.submit(answer, msgspec.msgpack.decode(incoming.read(int.from_bytes(size, "big")), type=Call))


def main() -> None:
    bootstrap_servers, seconds = sys.argv[1:]
    options = {
        "bootstrap.servers": bootstrap_servers,
        "reconnect.backoff.ms": 100,
        "reconnect.backoff.max.ms": 1000,  # the default of ten seconds outlasts the answers' time limit
        "log_level": 0,  # the ingress's own clients say what there is to say of the broker
    }
    serve(AdminCalls(AdminClient(options), float(seconds)), sys.stdin.buffer, sys.stdout.buffer)
    os._exit(0)  # whatever is under way: nobody waits for it


if __name__ == "__main__":
    main()
