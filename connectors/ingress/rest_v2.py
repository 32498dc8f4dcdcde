"""Kafka-REST v2, the part that writes: POST /topics/{topic} and /topics/{topic}/partitions/{partition}.

As Confluent's REST Proxy, but: a request that wrote nothing is not answered with 200, a request in which any key or value
can't be converted writes nothing, and the fleet's own topics take only what their contract says.
"""

from dataclasses import dataclass
from functools import partial

import msgspec

from connectors.http.body import BodyReader, too_deep
from connectors.http.request import Answer, Fault, Request
from connectors.ingress.avro_json import Misfit
from connectors.ingress.deliveries import Deliveries, Plan
from connectors.ingress.delivery import RETRY_AFTER
from connectors.ingress.device_api import malformed, record_headers
from connectors.ingress.options import Options
from connectors.ingress.rest_answers import Offset, ProduceFailed, ProduceOut
from connectors.ingress.rest_media import answer_type, embedded_format
from connectors.ingress.rest_schemas import RestSchemas
from connectors.ingress.rest_topics import RestTopics, partition_number
from connectors.ingress.rest_values import (
    Conversion,
    KeyAndValue,
    NoSchema,
    OfContract,
    Separate,
    avro_bytes,
    binary_bytes,
    json_bytes,
)
from connectors.ingress.rest_writer import BUSY, NotWritten, Record, Written
from connectors.ingress.retries import Retries

NOT_RETRIABLE, RETRIABLE = 1, 2


class RecordIn(msgspec.Struct, forbid_unknown_fields=True):
    """One record to write. Absent and null are the same: no key, or a tombstone."""

    key: msgspec.Raw = msgspec.Raw(b"null")
    value: msgspec.Raw = msgspec.Raw(b"null")
    partition: int | None = None


class ProduceIn(msgspec.Struct, forbid_unknown_fields=True):
    """A produce request."""

    records: list[RecordIn]
    key_schema: str | None = None
    key_schema_id: int | None = None
    value_schema: str | None = None
    value_schema_id: int | None = None


class _Records(msgspec.Struct):
    records: list[msgspec.Raw]


_RECORD = msgspec.json.Decoder(RecordIn)
_RECORDS = msgspec.json.Decoder(_Records)


@dataclass(frozen=True, slots=True)
class _Target:
    """Where a request writes: a topic, how many partitions it has, and the one that the path names, if it does."""

    topic: str
    count: int
    partition: int | None

    def partitions(self, records: list[RecordIn]) -> list[int | None]:
        """Where each record goes, None where its key decides.

        Raises:
            Fault: 422 a record names another partition than the path.
        """
        if self.partition is None:
            return [record.partition for record in records]
        for i, record in enumerate(records):
            if record.partition not in (None, self.partition):
                detail = f"$.records[{i}].partition: {record.partition}, but the path says {self.partition}"
                raise Fault(422, "INVALID_BODY", detail)
        return [self.partition] * len(records)


class RestV2:
    """The handlers."""

    def __init__(
        self,
        options: Options,
        topics: RestTopics,
        bodies: BodyReader,
        schemas: RestSchemas,
        deliveries: Deliveries,
        retries: Retries,
    ) -> None:
        self._options, self._topics, self._bodies = options, topics, bodies
        self._schemas, self._deliveries, self._retries = schemas, deliveries, retries
        self._decoder = msgspec.json.Decoder(ProduceIn)

    async def produce(self, request: Request) -> Answer:
        """POST /topics/{topic}"""
        media_type, form = answer_type(request), embedded_format(request)
        (topic,) = request.arguments
        count = await self._topics.writable(request.caller, topic)
        return await self._write(request, _Target(topic, count, None), form, media_type)

    async def produce_to_partition(self, request: Request) -> Answer:
        """POST /topics/{topic}/partitions/{partition}"""
        media_type, form = answer_type(request), embedded_format(request)
        topic, text = request.arguments
        count = await self._topics.writable(request.caller, topic)
        return await self._write(request, _Target(topic, count, partition_number(topic, text, count)), form, media_type)

    async def _write(self, request: Request, target: _Target, form: str, media_type: bytes) -> Answer:
        key = self._retries.key(request)
        body = await self._bodies.read(request)
        self._topics.check_writable(request.caller, target.topic)
        if key is not None:
            plan = partial(self._plan, request, body, target, form, media_type)
            return await self._retries.once(request, key, body, plan)  # the body counts as held until the answer
        planned = await self._plan(request, body, target, form, media_type)
        self._bodies.release(request)
        del body
        return await self._deliveries.deliver(planned)

    async def _plan(self, request: Request, body: bytes, target: _Target, form: str, media_type: bytes) -> Plan:
        asked = self._parsed(body)
        partitions = target.partitions(asked.records)
        conversion = await self._conversion(target.topic, form, asked)
        headers = record_headers(request)

        def convert() -> list[Record]:
            return [
                Record(target.topic, *_converted(conversion, record, i), headers, partitions[i])
                for i, record in enumerate(asked.records)
            ]

        records = await self._schemas.beside.run(len(body), convert)
        return Plan(target.topic, target.count, records, lambda outcomes: _answer(outcomes, conversion, media_type))

    def _parsed(self, body: bytes) -> ProduceIn:
        if too_deep(body, self._options.max_depth):
            raise Fault(422, "TOO_DEEP", f"$: the body nests deeper than {self._options.max_depth} levels")
        try:
            body.decode()  # the format call below does not look into strings
            asked = self._decoder.decode(msgspec.json.format(body, indent=-1))
        except msgspec.ValidationError as error:
            raise Fault(422, "INVALID_BODY", _placed(body, str(error))) from None
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise malformed(body, str(error)) from None
        if not asked.records:
            raise Fault(422, "INVALID_BODY", "$.records has no items")
        if len(asked.records) > self._options.max_records:
            detail = f"$.records has {len(asked.records)} items, more than {self._options.max_records}"
            raise Fault(413, "TOO_MANY_RECORDS", detail)
        return asked

    async def _conversion(self, topic: str, form: str, asked: ProduceIn) -> Conversion:
        declared = self._topics.declared(topic)
        if declared is not None:
            if form != "avro":
                raise Fault(415, "UNSUPPORTED_MEDIA_TYPE", f"{topic} takes application/vnd.kafka.avro.v2+json only")
            if asked.key_schema is not None or asked.key_schema_id is not None:
                raise Fault(422, "INVALID_SCHEMA", f"the keys of {topic} are plain text: leave out key_schema and the keys")
            contract_form = await self._schemas.contract_form(declared, asked.value_schema, asked.value_schema_id)
            if contract_form is None:
                raise _no_schema("value")
            return OfContract(contract_form, declared.key)
        if form == "json":
            return Separate(json_bytes, json_bytes)
        if form == "binary":
            return Separate(binary_bytes, binary_bytes)
        key = await self._schemas.form(f"{topic}-key", asked.key_schema, asked.key_schema_id)
        value = await self._schemas.form(f"{topic}-value", asked.value_schema, asked.value_schema_id)
        ids = [None if form is None else form.schema_id for form in (key, value)]
        return Separate(avro_bytes(key, "key"), avro_bytes(value, "value"), *ids)


def _answer(outcomes: list[Written | NotWritten], conversion: Conversion, media_type: bytes) -> Answer:
    offsets = [_offset(one) for one in outcomes]
    failed = [one for one in outcomes if isinstance(one, NotWritten)]
    if len(failed) < len(outcomes):
        told = ProduceOut(offsets, conversion.key_schema_id, conversion.value_schema_id)
        return Answer(msgspec.json.encode(told), content_type=media_type)
    worst = next((one for one in failed if one.retriable), failed[0])
    code, status, headers = 422, 422, []
    if worst.retriable:
        code, status = (42901, 429) if worst.code == BUSY else (50003, 503)
        headers = [(b"retry-after", b"%d" % RETRY_AFTER)]
    nothing = ProduceFailed(code, f"no record was written: {worst.message}", offsets)
    return Answer(msgspec.json.encode(nothing), status, media_type, headers)


def _offset(outcome: Written | NotWritten) -> Offset:
    if isinstance(outcome, Written):
        return Offset(outcome.partition, outcome.offset)
    return Offset(None, None, RETRIABLE if outcome.retriable else NOT_RETRIABLE, outcome.message)


def _converted(conversion: Conversion, record: RecordIn, i: int) -> KeyAndValue:
    try:
        return conversion.record(record.key, record.value)
    except Misfit as fault:
        raise Fault(422, "BAD_AVRO_DATA", str(fault.within(f"$.records[{i}]"))) from None
    except NoSchema as missing:
        raise _no_schema(str(missing)) from None


def _placed(body: bytes, message: str) -> str:
    """A message of msgspec with the place first, and with the number of the record, which msgspec leaves out."""
    what, _, place = message.partition(" - at `")
    place = place.rstrip("`") or "$"
    if "[...]" in place:
        for i, record in enumerate(_RECORDS.decode(body).records):
            try:
                _RECORD.decode(record)
            except msgspec.ValidationError:
                place = place.replace("[...]", f"[{i}]", 1)
                break
    return f"{place}: {what}"


def _no_schema(part: str) -> Fault:
    return Fault(422, f"{part.upper()}_SCHEMA_MISSING", f"the {part}s need {part}_schema or {part}_schema_id")
