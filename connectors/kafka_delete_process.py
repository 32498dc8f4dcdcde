"""The process that deletes records: `python -m connectors.kafka_delete_process BOOTSTRAP_SERVERS SECONDS`, run by
connectors.kafka_retention, with lines of TOPIC, PARTITION and OFFSET on standard input. It says on standard output what is
wrong, as the error's code and message; nothing where nothing is.
"""

import logging
import os
import sys

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient


def main(servers: str, seconds: float) -> str:
    """Delete; returns what is wrong."""
    admin = AdminClient({"bootstrap.servers": servers}, logger=logging.getLogger(__name__))
    wanted = [TopicPartition(topic, int(number), int(offset)) for topic, number, offset in map(str.split, sys.stdin)]
    try:
        futures = admin.delete_records(wanted, request_timeout=seconds, operation_timeout=seconds)
        for future in futures.values():
            future.result()
    except KafkaException as failure:
        return f"{failure.args[0].code()} {failure.args[0].str()}"
    return ""


if __name__ == "__main__":
    logging.getLogger().addHandler(logging.NullHandler())
    print(main(sys.argv[1], float(sys.argv[2])), flush=True)
    os._exit(0)  # the client's own end is what this process is for: it may not end well
