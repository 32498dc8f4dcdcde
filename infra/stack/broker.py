"""The local broker: one real Apache Kafka node, broker and controller in one (KRaft)."""

import shutil
import subprocess
from pathlib import Path

from infra.settings import Settings
from infra.stack import health, jars, java
from infra.stack.service import Port, Service, StackError

CLUSTER_ID = "ZmxlZXRsb2ctbG9jYWwtMQ"  # any 16 bytes in base64; it must stay the same for a data directory
TRANSACTIONS = {
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    # What a dead decider left open holds up its successor until the broker looks for it (by default every 10 s).
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
    # Where a decider goes on lies in its group's offsets, and must not be forgotten (by default in 7 days).
    "offsets.retention.minutes": "2147483647",
}
LOGGING = Path(__file__).with_name("log4j2.xml")


def service(settings: Settings) -> Service:
    directory = settings.data / "broker"
    return Service(
        name="broker",
        command=java.command(settings, program(settings), str(directory / "server.properties")),
        directory=directory,
        check=lambda: health.kafka(settings.host, settings.kafka_port),
        prepare=lambda: prepare(settings),
        ports=(Port("kafka_port", settings.kafka_port), Port("kafka_controller_port", settings.kafka_controller_port)),
        stop_seconds=30.0,
    )


def program(settings: Settings) -> java.Program:
    return java.Program(
        name="broker",
        class_path=jars.class_path("kafka"),
        entry="kafka.Kafka",
        heap=settings.kafka_heap,
        properties={"log4j2.configurationFile": str(LOGGING)},
    )


def prepare(settings: Settings) -> None:
    """Write server.properties; on the first start, format the storage.

    Raises:
        StackError: the storage tool refuses; its output is in the message.
    """
    directory = settings.data / "broker"
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "server.properties").write_text(properties(settings))
    if (directory / "log" / "meta.properties").exists():
        return
    shutil.rmtree(directory / "log", ignore_errors=True)  # a format that was cut short
    tool = java.Program(
        name="broker",
        class_path=jars.class_path("kafka"),
        entry="kafka.tools.StorageTool",
        heap="128m",
        properties={"log4j2.configurationFile": str(LOGGING)},
        options=("-XX:TieredStopAtLevel=1",),
    )
    arguments = ("format", "-t", CLUSTER_ID, "-c", str(directory / "server.properties"))
    done = subprocess.run(java.command(settings, tool, *arguments), capture_output=True, text=True, timeout=60, check=False)
    if done.returncode != 0:
        raise StackError(f"broker: cannot format the storage in {directory}:\n{done.stdout}{done.stderr}")


def properties(settings: Settings) -> str:
    """The text of server.properties."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    lines = {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@{host}:{settings.kafka_controller_port}",
        "controller.listener.names": "CONTROLLER",
        "listeners": f"PLAINTEXT://{host}:{settings.kafka_port},CONTROLLER://{host}:{settings.kafka_controller_port}",
        "advertised.listeners": f"PLAINTEXT://{host}:{settings.kafka_port}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "PLAINTEXT",
        "log.dirs": settings.data / "broker" / "log",
        # Topics are declared (fleetlog topics apply); one that is not declared keeps its records for ever.
        "auto.create.topics.enable": "false",
        "log.retention.ms": "-1",
        # The largest request body, its dead letter with the original bytes in it, and some room.
        "message.max.bytes": max(12_582_912, settings.max_body_bytes * 5 // 4),
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "4",
        **TRANSACTIONS,
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "share.coordinator.state.topic.num.partitions": "1",
        # One machine: a consumer group needs no time to gather, and a dead member may be noticed soon.
        "group.initial.rebalance.delay.ms": "0",
        "group.min.session.timeout.ms": "1000",
        # The controller refuses a killed broker's next life until the last one has timed out (by default 9 s).
        "broker.session.timeout.ms": "3000",
        "broker.heartbeat.interval.ms": "500",
        "num.network.threads": "2",
        "num.io.threads": "4",
        "num.recovery.threads.per.data.dir": "2",
        "log.cleaner.dedupe.buffer.size": "8388608",
    }
    return "".join(f"{name}={value}\n" for name, value in lines.items())
