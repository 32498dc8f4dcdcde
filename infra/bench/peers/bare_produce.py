"""The limit: librdkafka's producer, with the settings of the ingress, given one value again and again for some seconds."""

import argparse
import json
import time

from confluent_kafka import KafkaError, Message, Producer

POLL_EVERY = 1_000  # records between two looks at the reports


def main() -> None:
    parser = argparse.ArgumentParser(description="One contestant of the rest bench.")
    parser.add_argument("servers", help="the broker's address")
    parser.add_argument("topic")
    parser.add_argument("value")
    parser.add_argument("seconds", type=float)
    options = parser.parse_args()
    acknowledged = failed = 0

    def delivered(error: KafkaError | None, message: Message) -> None:
        nonlocal acknowledged, failed
        acknowledged += error is None
        failed += error is not None

    producer = Producer(
        {
            "bootstrap.servers": options.servers,
            "acks": "all",
            "enable.idempotence": True,
            "partitioner": "murmur2_random",
            "compression.type": "lz4",
            "linger.ms": 2,
            "queue.buffering.max.messages": 50_000,
        }
    )
    value = options.value.encode()
    started = time.perf_counter()
    while time.perf_counter() - started < options.seconds:
        for _ in range(POLL_EVERY):
            while True:
                try:
                    producer.produce(options.topic, value, on_delivery=delivered)
                except BufferError:
                    producer.poll(0.01)
                else:
                    break
        producer.poll(0)
    left = producer.flush(30)
    seconds = time.perf_counter() - started
    print(json.dumps({"records": acknowledged, "failures": failed + left, "seconds": seconds}))


if __name__ == "__main__":
    main()
