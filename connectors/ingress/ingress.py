"""The ingress put together from its ports, and its way from start to ready."""

import asyncio
import copy
import logging
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property

from confluent_kafka import KafkaException

from connectors.alerting.api import AlertingApi
from connectors.alerting.prometheus import PrometheusApi, prometheus_routes
from connectors.alerting.routes import alerting_routes
from connectors.cluster import Refusal
from connectors.http.app import HttpApp
from connectors.http.body import BodyReader
from connectors.http.peer import PLAIN
from connectors.http.request import Route
from connectors.ingress.access import Access
from connectors.ingress.answers import encoder
from connectors.ingress.as_of_api import AsOfApi
from connectors.ingress.as_of_routes import as_of_routes
from connectors.ingress.deliveries import Deliveries
from connectors.ingress.delivery import Deadlines
from connectors.ingress.device_api import DeviceApi
from connectors.ingress.entrances import Entrances
from connectors.ingress.event import EventKind
from connectors.ingress.guard_metrics import GuardCounts
from connectors.ingress.identifiers import EventIds
from connectors.ingress.ledger import Ledger
from connectors.ingress.log_api import LogApi
from connectors.ingress.log_caching import Policies
from connectors.ingress.log_routes import log_routes
from connectors.ingress.log_schemas import LogSchemas
from connectors.ingress.log_tail import Tail
from connectors.ingress.log_topics import LogTopics
from connectors.ingress.metrics import IngressMetrics
from connectors.ingress.openapi import document
from connectors.ingress.operations import OK, Operations
from connectors.ingress.options import Options
from connectors.ingress.outside import Outside
from connectors.ingress.recovery import Interpreter, recover
from connectors.ingress.request_log import TOPIC as REQUESTS_TOPIC
from connectors.ingress.request_log import RequestLog
from connectors.ingress.request_memory import RequestMemory
from connectors.ingress.rest_metadata import RestMetadata
from connectors.ingress.rest_routes import rest_routes
from connectors.ingress.rest_schemas import RestSchemas
from connectors.ingress.rest_topics import RestTopics
from connectors.ingress.rest_v2 import RestV2
from connectors.ingress.rest_writer import RestWriter
from connectors.ingress.retries import Retries
from connectors.ingress.routes import device_routes, operation_routes
from connectors.ingress.schema_ids import SchemaIds, SchemaRefused
from connectors.ingress.security_events import TOPIC as SECURITY_TOPIC
from connectors.ingress.security_events import SecurityEvents
from connectors.ingress.unrouted import unrouted
from connectors.ingress.uploads import Uploads
from connectors.ingress.v3_metadata_routes import v3_metadata_routes
from connectors.ingress.v3_record_routes import v3_record_routes
from connectors.ingress.v3_records import V3Records
from connectors.ingress.v3_records_schemas import V3Schemas
from connectors.ingress.v3_records_target import Tools
from connectors.ingress.v3_scope import V3Scope
from connectors.ports import Away
from connectors.process import give_back_memory, spare_collector
from connectors.registration.registration import Registration, Shared
from schemas import asyncapi
from schemas.contract import Contract, RecordType
from schemas.json_form import RequestForm

log = logging.getLogger(__name__)

UPLOAD_TOPICS = {"heartbeat": "fleet.heartbeats", "telemetry": "fleet.telemetry", "events": "fleet.device-events"}
REGISTRATION_TOPIC, REGISTRATION = "fleet.registration.events", "DeviceRegistered"
RETRY_SECONDS = 1.0
NAMESPACE = "fleetlog"  # of the contract's record types


class Ingress:
    """All parts of one ingress process. `applications` answer the requests of its listeners, `application` those of the
    plain one."""

    def __init__(self, options: Options, contract: Contract, access: Access, outside: Outside) -> None:
        self._options, self._contract, self._outside = options, contract, outside
        self._schema_ids = SchemaIds(outside.registry, options.state_dir / "ingress-schema-ids.json")
        self._deadlines = Deadlines(options.request_deadline)
        self._upload_ledger = Ledger(options.idempotency_records)
        self._device_ledger = Ledger(options.idempotency_records)
        self._ids = EventIds()
        self._recovery = "the log is being read"
        self._stopping: Callable[[], bool] = lambda: False
        self.uploads = {name: self._uploads(topic, self._upload_ledger) for name, topic in UPLOAD_TOPICS.items()}
        self.uploads["devices"] = self._uploads(REGISTRATION_TOPIC, self._device_ledger)
        self.bodies = BodyReader(options)
        self.security = SecurityEvents(contract.topics[SECURITY_TOPIC], outside.producer, self._ids)
        self.entrances = Entrances(options.guarding, outside.guards, self.bodies, self.security, access.name)
        self.metrics = IngressMetrics()
        self.forms = {name: RequestForm(contract.topics[topic].record) for name, topic in UPLOAD_TOPICS.items()}
        self.forms["devices"] = RequestForm(with_given_device_id(contract.records[REGISTRATION]))
        deliveries = Deliveries(RestWriter(outside.producer), self._deadlines)
        self.retries = self._retries(access, deliveries)
        self.metrics.watch(outside.producer, self._deadlines, self.uploads, deliveries.writer)
        self.metrics.watch_retries(self.retries)
        self.metrics.registry.register(GuardCounts(self.entrances))
        self.registration = self._registration(access)
        self.routes = [
            *self._device_routes(access),
            *self._rest_routes(access, deliveries),
            *self._log_routes(access),
            *(as_of_routes(AsOfApi(access, self._outside.as_of)) if self._outside.as_of else ()),
            *self._alerting_routes(access),
            *self.entrances.routes(),
            *(self.registration.routes if self.registration else ()),
            *self._operation_routes(),
        ]
        application = HttpApp("ingress", self.routes, access.caller, self.bodies, self.metrics.answered, unrouted)
        self.applications = self.entrances.applications(application)
        self.application = self.applications[PLAIN]

    def _device_routes(self, access: Access) -> list[Route]:
        devices = DeviceApi(self._options, self.bodies, self.forms, self.uploads, self._deadlines)
        made = device_routes(devices, self.forms, access.check_devices)
        if self.registration is None:
            return made
        watching = self.registration.activations.watching
        return [replace(one, handler=watching(one.handler)) if one.path.endswith("/heartbeat") else one for one in made]

    def _alerting_routes(self, access: Access) -> list[Route]:
        desk = self._outside.alerting
        if desk is None:
            return []
        api = AlertingApi(access, self.bodies, desk, self.retries)
        return [*alerting_routes(api), *prometheus_routes(PrometheusApi(api, desk))]

    def _registration(self, access: Access) -> Registration | None:
        options, ports, outside = self._options.registration, self._outside.registration, self._outside
        if options is None or ports is None:
            return None
        shared = Shared(self.bodies, outside.producer, outside.pages, outside.guards.signer, self.security)
        return Registration(options, ports, self._contract, access, shared)

    def _retries(self, access: Access, deliveries: Deliveries) -> Retries:
        remembered = RequestMemory(self._options.idempotency_bytes, int(self._options.idempotency_seconds * 1e6))
        requests = RequestLog(self._contract.topics[REQUESTS_TOPIC], self._schema_ids)
        return Retries(requests, remembered, deliveries, self._outside.cluster, self._ids, access.name)

    def _rest_routes(self, access: Access, deliveries: Deliveries) -> list[Route]:
        topics = RestTopics(access, self._contract, self._outside.producer)
        schemas = RestSchemas(self._schema_ids)
        cluster = self._outside.cluster
        v2 = RestV2(self._options, topics, self.bodies, schemas, deliveries, self.retries)
        own_url = f"http://{self._options.host}:{self._options.port}"
        v3 = V3Scope(topics, cluster, self.bodies, own_url, self._options.max_depth)
        tools = Tools(self._options, self.bodies, deliveries)
        v3_schemas = V3Schemas(schemas, self._schema_ids, (*self._contract.topics, NAMESPACE))
        records = V3Records(tools, topics, cluster, v3_schemas, self.retries)
        v2_routes = rest_routes(v2, RestMetadata(topics, cluster))
        return [*v2_routes, *v3_metadata_routes(v3), *v3_record_routes(records)]

    def _log_routes(self, access: Access) -> list[Route]:
        outside = self._outside
        topics = LogTopics(access, outside.producer)
        tail = Tail(outside.pages, lambda: self._stopping())
        return log_routes(LogApi(topics, outside.pages, tail, Policies(outside.cluster), LogSchemas(self._schema_ids)))

    def _operation_routes(self) -> list[Route]:
        return operation_routes(Operations(self.checks, self.metrics, lambda: self._document, lambda: self._asyncapi))

    @cached_property
    def _document(self) -> bytes:
        return document(self.routes)

    @cached_property
    def _asyncapi(self) -> bytes:
        return encoder.encode(asyncapi.document(self._contract, self._options.addresses))

    def ends_with(self, stopping: Callable[[], bool]) -> None:
        """Who waits for records is answered as soon as `stopping` says so."""
        self._stopping = stopping

    def checks(self) -> dict[str, str]:
        """For each part that must work "ok", or what is wrong."""
        found = {"broker": self._outside.producer.away or OK, "recovery": self._recovery or OK}
        return found | ({"registration": self.registration.commands.away or OK} if self.registration else {})

    async def prepare(self) -> None:
        """Register the schemas, learn from the log what was accepted before, open for uploads. Waits for broker and
        registry as long as it takes."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                ids = await loop.run_in_executor(None, self._recover)
            except (Away, SchemaRefused) as error:
                self._recovery = str(error)
                log.warning("not ready: %s", error)
                await asyncio.sleep(RETRY_SECONDS)
            else:
                break
        spare_collector()
        give_back_memory()
        for uploads in self.uploads.values():
            uploads.open(ids[uploads.kind.topic])
        self.security.open(ids[SECURITY_TOPIC])
        self.retries.open()
        if self.registration is not None:
            self.registration.open(ids, self._schema_ids, self._options.request_deadline)
        self._recovery = ""
        log.info("ready", extra={"context": {"receipts": len(self._upload_ledger), "devices": len(self._device_ledger)}})
        await self._look_up()

    async def _look_up(self) -> None:
        """Find what was written of the requests that were interrupted. Nobody but their retries waits for it."""
        while True:
            try:
                await self.retries.look_up(self._outside.make_tracer)
            except (Away, Refusal, KafkaException) as error:
                log.warning("interrupted requests are not looked up yet: %s", error)
                await asyncio.sleep(RETRY_SECONDS)
            else:
                return

    def _recover(self) -> dict[str, int]:
        kinds = {name: uploads.kind for name, uploads in self.uploads.items()}
        ids = {kind.topic: self._schema_ids.of(self._contract.topics[kind.topic], kind.record) for kind in kinds.values()}
        security = self._contract.topics[SECURITY_TOPIC]
        ids[SECURITY_TOPIC] = self._schema_ids.of(security, security.record)
        if self.registration is not None:
            ids |= self.registration.registered(self._schema_ids)
        reader = self._outside.make_reader()
        try:
            for ledger, names in ((self._upload_ledger, tuple(UPLOAD_TOPICS)), (self._device_ledger, ("devices",))):
                of_ledger = [kinds[name] for name in names]
                interpreters = {
                    kind.topic: Interpreter(kind, ids[kind.topic], self._schema_ids.schema) for kind in of_ledger
                }
                recover(reader, interpreters, ledger, self._options.idempotency_records)
            self.retries.recover(reader)
        finally:
            reader.close()
        return ids

    def _uploads(self, topic: str, ledger: Ledger) -> Uploads:
        declared = self._contract.topics[topic]
        if topic == REGISTRATION_TOPIC:
            kind = EventKind(declared, self._contract.records[REGISTRATION], "hardware_id", ("hardware_id",))
        else:
            kind = EventKind(declared, declared.record, "device_id", ("device_id", "boot_id", "sequence"))
        return Uploads(kind, ledger, self._outside.producer, self._ids)


def with_given_device_id(record: RecordType) -> RecordType:
    """The record type with a `device_id` that the sender may give, or leave to the server."""
    schema = copy.deepcopy(record.schema)
    for declared in schema["fields"]:
        if declared["name"] == "device_id":
            declared.pop("origin", None)
            declared |= {"type": ["null", declared["type"]], "default": None}
    return RecordType(record.name, record.context, schema)
