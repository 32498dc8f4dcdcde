"""The local schema registry: Apicurio Registry, which keeps its schemas in the broker's log and rebuilds itself from it.

Clients do not speak with it: what they expect of a registry is served by the front before it (connectors/registry_front).
"""

from infra.settings import Settings
from infra.stack import health, jars, java
from infra.stack.service import Port, Service

JOURNAL = "kafkasql-journal"  # the topic that holds every change of the registry
READY = "/health/ready"  # on the management port


def service(settings: Settings, management_port: int) -> Service:
    """`management_port`: where the registry answers health checks; nothing else uses it."""
    directory = settings.data / "registry"
    return Service(
        name="registry",
        command=java.command(settings, program(settings, management_port)),
        directory=directory,
        check=lambda: check(settings, management_port),
        prepare=lambda: (directory / "snapshots").mkdir(parents=True, exist_ok=True),
        after=("broker",),
        ports=(Port("registry_backend_port", settings.registry_backend_port),),
        start_seconds=90.0,
    )


def check(settings: Settings, management_port: int) -> None:
    """Ready, which it is when it has read its journal to the end, and the Confluent-compatible API answers.

    The API answers a little before the journal is read, and then knows no schema: hence the readiness.
    """
    health.http_ok(settings.host, management_port, READY)
    health.http_ok(settings.host, settings.registry_backend_port, "/apis/ccompat/v7/subjects?limit=1")


def program(settings: Settings, management_port: int) -> java.Program:
    return java.Program(
        name="registry",
        class_path=jars.class_path("registry"),
        entry=jars.REGISTRY_ENTRY,
        heap=settings.registry_heap,
        properties={
            "quarkus.http.host": settings.host,
            "quarkus.http.port": str(settings.registry_backend_port),
            "quarkus.http.limits.max-initial-line-length": "16384",  # of a subject of 512 letters, percent-encoded
            "quarkus.management.host": settings.host,
            "quarkus.management.port": str(management_port),
            "apicurio.storage.kind": "kafkasql",
            "apicurio.kafkasql.bootstrap.servers": settings.kafka,
            "apicurio.kafkasql.topic": JOURNAL,
            "apicurio.kafkasql.consumer.poll.timeout": "100",
            "apicurio.storage.snapshot.location": str(settings.data / "registry" / "snapshots"),
            "apicurio.datasource.jdbc.initial-size": "2",
            "apicurio.datasource.jdbc.min-size": "2",
            "apicurio.datasource.jdbc.max-size": "20",
            "apicurio.ccompat.max-subjects": "1000000",  # what one list of subjects holds
            "apicurio.rules.global.compatibility": "BACKWARD",  # as Confluent's; Apicurio's is to check nothing
            "quarkus.banner.enabled": "false",
            "quarkus.http.access-log.enabled": "false",
            # The supervisor reads this shape (infra/stack/logs.py).
            "quarkus.log.console.format": "%z{UTC}%d{yyyy-MM-dd'T'HH:mm:ss.SSS}Z %p %c - %m%e%n",
            'quarkus.log.category."org.apache.kafka".level': "WARN",
        },
        # Rarely asked, mostly starting: the quick compiler alone costs half the processor time.
        options=("-XX:TieredStopAtLevel=1",),
    )
