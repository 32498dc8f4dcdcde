"""The peer of the bench of live rules: reads readings, writes a record for each that is marked, in a transaction a batch."""

from multiprocessing.synchronize import Event
from uuid import uuid4

from confluent_kafka import Consumer, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

BARE = "bench-bare"
"""The topic that it writes to, and the header by which readings are marked."""
SOURCE = "fleet.telemetry"
MOST = 10_000  # readings a transaction


def create_topic(servers: str) -> None:
    """The topic that the bare process writes to."""
    admin = AdminClient({"bootstrap.servers": servers})  # held: an answer is lost with its client
    for made in admin.create_topics([NewTopic(BARE, 1, 1)]).values():
        made.result(10)


def at_end(consumer: Consumer, topic: str) -> None:
    """Read a topic from where it ends by now: the broker is asked here, not when the first record is fetched."""
    partitions = consumer.list_topics(topic, 10).topics[topic].partitions
    places = [TopicPartition(topic, number) for number in partitions]
    for place in places:
        _, place.offset = consumer.get_watermark_offsets(place, 10)
    consumer.assign(places)


def forward(servers: str, ready: Event, stop: Event) -> None:
    """Run until `stop`; `ready` is set when all that is written from then on will be read. For a process of its own."""
    consumer = Consumer(
        {
            "bootstrap.servers": servers,
            "group.id": f"bare-{uuid4()}",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "fetch.wait.max.ms": 100,
            "fetch.queue.backoff.ms": 5,
        }
    )
    producer = Producer({"bootstrap.servers": servers, "transactional.id": f"bare-{uuid4()}", "linger.ms": 0})
    producer.init_transactions(10)
    at_end(consumer, SOURCE)
    ready.set()
    try:
        while not stop.is_set():
            first = consumer.poll(0.1)
            if first is not None:
                _write(consumer, producer, [first, *consumer.consume(MOST, 0)])
    finally:
        consumer.close()


def _write(consumer: Consumer, producer: Producer, messages: list[Message]) -> None:
    producer.begin_transaction()
    for message in messages:
        if message.error() is None and message.headers():
            producer.produce(BARE, f"{message.partition()}/{message.offset()}".encode())
    producer.send_offsets_to_transaction(consumer.position(consumer.assignment()), consumer.consumer_group_metadata(), 10)
    producer.commit_transaction(10)
