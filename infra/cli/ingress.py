"""`fleetlog ingress`: the process that takes uploads and Kafka-REST requests over HTTP and writes them to the log."""

import argparse
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from infra.cli.command import Commands, add_command, fail
from infra.settings import SettingError, Settings

if TYPE_CHECKING:
    from socket import socket as Socket

    from connectors.ingress.access import Access
    from connectors.ingress.options import Options
    from connectors.ingress.outside import Outside
    from connectors.kafka_cluster import KafkaCluster
    from connectors.kafka_producer import KafkaProducer
    from connectors.ports import Latest, SchemaRegistry, Version
    from infra.ingress_listeners import OpenGuards
    from schemas.contract import Contract

HEARTBEATS_PER_PRESENCE = 5  # a device may miss a few heartbeats before it counts as offline
LONGEST_LIFE = 7 * 86_400  # seconds; the retention of fleet.rest.requests


def add(commands: Commands) -> None:
    add_command(
        commands,
        "ingress",
        "Run the ingress in the foreground: device API, Kafka-REST, OpenAPI, health, metrics. SIGTERM ends it cleanly.",
        'fleetlog ingress   # then: curl -H "X-API-Key: $(cat .fleetlog/api-key)" http://127.0.0.1:8082/openapi.json',
        run,
    )


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    """Run until a signal asks to stop. Exit code 1: the producer failed for good, a restart is needed."""
    from contextlib import ExitStack

    import uvloop

    from connectors.http.server import PortTaken, listen
    from infra import ingress_listeners
    from infra.api_key import api_key
    from infra.logging import configure

    configure("ingress", settings.log_level)
    key = api_key(settings)
    with ExitStack() as opened:
        try:
            bound = opened.enter_context(listen(settings.host, settings.ingress_port))
            secured = ingress_listeners.bind(settings, opened)
        except PortTaken as error:
            return fail(str(error), 2)
        code: int = uvloop.run(_serve(settings, key, bound, secured))
        return code


async def _serve(settings: Settings, key: str, bound: "Socket", secured: Mapping[str, "Socket"]) -> int:
    from connectors.http.server import Server, serve
    from connectors.ingress.ingress import Ingress
    from connectors.kafka_cluster import KafkaCluster
    from connectors.kafka_producer import KafkaProducer, ProducerOptions
    from infra import ingress_listeners
    from infra.service_health import service_health
    from schemas.contract import load

    log = logging.getLogger(__name__)
    tls = ingress_listeners.secure(settings, secured)
    cluster = KafkaCluster(settings.kafka)
    guards = ingress_listeners.OpenGuards(settings, cluster)
    options = _options(settings)
    fatal: list[str] = []

    def on_fatal(reason: str) -> None:
        log.critical("the producer failed for good, the process ends: %s", reason)
        fatal.append(reason)
        server.stop(at_once=True)

    producer = KafkaProducer(ProducerOptions(settings.kafka, stall_seconds=settings.request_deadline), on_fatal)
    contract = load()
    outside = _outside(settings, producer, guards, cluster)
    ingress = Ingress(options, contract, access_of(settings, key, contract), outside)
    server = Server(options, ingress.application.answer)
    ingress.ends_with(lambda: server.stopping)
    producer.start()
    health = service_health(settings, "ingress", f"ingress-{settings.ingress_port}", ingress.metrics.registry)
    health.start()
    await serve(server, bound, ingress.prepare, ingress_listeners.listeners(settings, ingress, secured, tls))
    health.stop()
    ingress.security.flush()
    await _close(outside, guards)
    if fatal:
        return 1
    given_up = await producer.close(settings.request_deadline)
    if given_up:
        log.warning("%d records were not acknowledged; no request was told that they were", given_up)
    return 0


async def _close(outside: "Outside", guards: "OpenGuards") -> None:
    if outside.registration is not None:
        outside.registration.tail.close()
    await guards.close()
    await outside.cluster.close()
    if outside.as_of is not None:
        await outside.as_of.close()
    if outside.alerting is not None:
        outside.alerting.close()
    outside.pages.close()


def _outside(settings: Settings, producer: "KafkaProducer", guards: "OpenGuards", cluster: "KafkaCluster") -> "Outside":
    from functools import partial

    from connectors.ingress.outside import Outside
    from connectors.kafka_log import KafkaLog
    from connectors.kafka_pages import KafkaPages
    from connectors.kafka_traces import KafkaTraces
    from infra import as_of_process, registration
    from infra.alerting.service import Service

    # The log is read once, at the start: little ahead, so that the memory it takes is not kept for the process's life.
    read_log = partial(KafkaLog, settings.kafka, batch_records=2_000, queued_kilobytes=4_096)
    return Outside(
        producer=producer,
        registry=_registry(settings),
        cluster=cluster,
        make_reader=read_log,
        pages=KafkaPages(settings.kafka),
        make_tracer=partial(KafkaTraces, settings.kafka),
        guards=guards.ports,
        registration=registration.ports(settings, guards.views),
        as_of=as_of_process.process(settings),
        alerting=Service(settings),
    )


def _options(settings: Settings) -> "Options":
    from connectors.ingress.options import Options
    from infra import registration
    from infra.ingress_listeners import guard_options
    from projections.device_state import ONLINE_MICROS
    from schemas.asyncapi import Addresses

    if not 0 < settings.idempotency_seconds <= LONGEST_LIFE:
        message = (
            f"{settings.idempotency_seconds:g} is not more than 0 and at most {LONGEST_LIFE}, as long as the log keeps it"
        )
        raise SettingError(f"FLEETLOG_IDEMPOTENCY_SECONDS: {message}")
    heartbeat_interval = ONLINE_MICROS / 1e6 / HEARTBEATS_PER_PRESENCE
    return Options(
        host=settings.host,
        port=settings.ingress_port,
        state_dir=settings.data,
        request_deadline=settings.request_deadline,
        max_body_bytes=settings.max_body_bytes,
        max_records=settings.max_records,
        max_depth=settings.max_depth,
        max_gzip_ratio=settings.max_gzip_ratio,
        idempotency_records=settings.idempotency_records,
        addresses=Addresses(settings.kafka, settings.registry),
        idempotency_seconds=settings.idempotency_seconds,
        idempotency_bytes=settings.idempotency_bytes,
        heartbeat_interval=heartbeat_interval,
        guarding=guard_options(settings),
        registration=registration.options(settings, heartbeat_interval),
    )


def access_of(settings: Settings, key: str, contract: "Contract") -> "Access":
    """Who may do what at the ingress.

    Raises:
        SettingError: a pattern or the file of principals is not what it must be.
    """
    from connectors.ingress.access import Access, BadPrincipals, Rights
    from connectors.ingress.principals_file import PrincipalsFile

    write, read, manage = (settings.patterns(name) for name in ("rest_topics", "rest_read", "rest_manage"))
    try:
        others = PrincipalsFile(settings.principals_file)
    except BadPrincipals as error:
        raise SettingError(str(error)) from None
    return Access(key, Rights(write, read, manage, fleet="admin"), contract, others)


def _registry(settings: Settings) -> "SchemaRegistry":
    """The schema registry. What it refuses is told in the ingress's own words: adapters don't know each other."""
    from connectors.ingress.schema_ids import SchemaRefused
    from connectors.registry import ConfluentRegistry, RegistryRefusal

    class Registry(ConfluentRegistry):
        def register(self, subject: str, schema: Mapping[str, Any]) -> int:
            try:
                return super().register(subject, schema)
            except RegistryRefusal as refusal:
                raise SchemaRefused(str(refusal)) from refusal

        def schema(self, schema_id: int) -> dict[str, Any]:
            try:
                return super().schema(schema_id)
            except RegistryRefusal as refusal:
                raise SchemaRefused(str(refusal)) from refusal

        def version(self, subject: str, number: "int | Latest") -> "Version":
            try:
                return super().version(subject, number)
            except RegistryRefusal as refusal:
                raise SchemaRefused(str(refusal)) from refusal

    return Registry(settings.registry)
