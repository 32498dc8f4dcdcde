"""The limit: librdkafka hands over whole batches and nothing is done with them."""

from confluent_kafka import Consumer

from infra.bench.peers.result import Stopwatch, Task, fresh_group
from infra.bench.topic import TOPIC


def main() -> None:
    task, watch = Task.of_command_line(), Stopwatch()
    consumer = Consumer(
        {
            "bootstrap.servers": task.servers,
            "group.id": fresh_group("bare-consume"),
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "fetch.queue.backoff.ms": 10,  # the default, a second, stalls a fast reader
            "queued.min.messages": 200_000,
        }
    )
    consumer.subscribe([TOPIC])
    seen = 0
    while seen < task.records:
        messages = consumer.consume(10_000, 0.1)
        if messages and not seen:
            watch.start(before=len(messages))
        seen += len(messages)
    watch.finish(seen)


if __name__ == "__main__":
    main()
