"""Kafka-REST v2, the produce part: POST /topics/{topic} and /topics/{topic}/partitions/{partition}.

As Confluent's REST Proxy, but: a request that wrote nothing is not answered with 200, a request in which any key or value
can't be converted writes nothing, and the fleet's own topics take only what their contract says.
"""

import fnmatch
import re

import msgspec
from confluent_kafka import KafkaError, Message

from connectors.ingress.avro_json import Misfit
from connectors.ingress.body import BodyReader, too_deep
from connectors.ingress.delivery import RETRY_AFTER, Deadlines, Wait
from connectors.ingress.device_api import malformed, record_headers
from connectors.ingress.http import Answer, Fault, Request
from connectors.ingress.options import Header, Options, Producer
from connectors.ingress.rest_answers import Offset, ProduceFailed, ProduceOut
from connectors.ingress.rest_faults import V2_JSON
from connectors.ingress.rest_schemas import RestSchemas
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
from connectors.ports import Away
from schemas.contract import Contract

_MEDIA_TYPE = re.compile(rb"application/vnd\.kafka\.(json|binary|avro)\.v2\+json")
_ANSWERS = (b"application/vnd.kafka.v2+json", b"application/vnd.kafka+json", b"application/json", b"application/*", b"*/*")
TOPIC_NAME = re.compile(r"[A-Za-z0-9._-]{1,249}")
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


class _Sent:
    """One record on its way."""

    __slots__ = ("_wait", "outcome")

    def __init__(self, wait: Wait) -> None:
        self._wait = wait
        self.outcome: Offset | None = None

    def delivered(self, error: KafkaError | None, message: Message) -> None:
        if error is None:
            self.outcome = Offset(message.partition(), message.offset())
        else:
            self.outcome = Offset(None, None, RETRIABLE if error.retriable() else NOT_RETRIABLE, error.str())
        self._wait.settle()


class RestV2:
    """The handlers."""

    def __init__(
        self,
        options: Options,
        contract: Contract,
        bodies: BodyReader,
        producer: Producer,
        schemas: RestSchemas,
        deadlines: Deadlines,
    ) -> None:
        self._options, self._contract, self._bodies, self._producer = options, contract, bodies, producer
        self._schemas, self._deadlines = schemas, deadlines
        self.written = self.failed = 0  # records
        self._decoder = msgspec.json.Decoder(ProduceIn)

    async def topics(self, request: Request) -> Answer:
        """GET /topics: the names of the topics that may be written to."""
        _acceptable(request)
        return Answer(
            msgspec.json.encode(sorted(t for t in self._producer.topics if not self._closed(t))), content_type=V2_JSON
        )

    async def produce(self, request: Request) -> Answer:
        """POST /topics/{topic}"""
        topic, count, form = await self._opened(request)
        return await self._write(request, topic, count, form, None)

    async def produce_to_partition(self, request: Request) -> Answer:
        """POST /topics/{topic}/partitions/{partition}"""
        topic, count, form = await self._opened(request)
        text = request.arguments[1]
        if not (text.isascii() and text.isdigit() and len(text) <= 10 and int(text) < count):
            raise Fault(404, "PARTITION_NOT_FOUND", f"{topic} has no partition {text[:20]!r}, it has {count}")
        return await self._write(request, topic, count, form, int(text))

    async def _opened(self, request: Request) -> tuple[str, int, str]:
        """The topic, its partition count, the embedded format of the request.

        Raises:
            Fault: 406, 415, 403 a closed topic, 404 an unknown one, 503 the broker is away.
        """
        _acceptable(request)
        match = _MEDIA_TYPE.fullmatch(request.content_type.partition(b";")[0].strip().lower())
        if match is None:
            kinds = "application/vnd.kafka.json.v2+json, .binary.v2+json or .avro.v2+json"
            raise Fault(415, "UNSUPPORTED_MEDIA_TYPE", f"the body must be {kinds}")
        topic = request.arguments[0]
        if self._closed(topic):
            raise Fault(403, "TOPIC_FORBIDDEN", f"{topic} is not written through REST")
        try:
            count = await self._producer.partitions(topic) if TOPIC_NAME.fullmatch(topic) else None
        except Away as away:
            raise Fault(503, "BROKER_UNAVAILABLE", str(away), retry_after=RETRY_AFTER) from None
        if count is None:
            raise Fault(404, "TOPIC_NOT_FOUND", f"there is no topic {topic[:250]!r}")
        return topic, count, match[1].decode()

    def _closed(self, topic: str) -> bool:
        declared = self._contract.topics.get(topic)
        if declared is not None:
            return declared.access != "device"
        return any(fnmatch.fnmatchcase(topic, pattern) for pattern in self._options.closed_topics)

    async def _write(self, request: Request, topic: str, count: int, form: str, to: int | None) -> Answer:
        asked = await self._parsed(request)
        conversion = await self._conversion(topic, form, asked)
        converted = [_converted(conversion, record, i) for i, record in enumerate(asked.records)]
        partitions = [record.partition if to is None else to for record in asked.records]
        self._bodies.release(request)
        del asked
        wait, headers = Wait(), record_headers(request)
        sent = [
            self._send(topic, count, key_and_value, partition, headers, wait)
            for key_and_value, partition in zip(converted, partitions, strict=True)
        ]
        del converted
        await self._deadlines.wait(wait)
        offsets = [one.outcome or self._late() for one in sent]
        return self._answer(offsets, conversion)

    async def _parsed(self, request: Request) -> ProduceIn:
        body = await self._bodies.read(request)
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
        declared = self._contract.topics.get(topic)
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

    def _send(
        self, topic: str, count: int, record: KeyAndValue, partition: int | None, headers: list[Header], wait: Wait
    ) -> "_Sent":
        sent = _Sent(wait)
        if partition is not None and not 0 <= partition < count:
            sent.outcome = Offset(None, None, NOT_RETRIABLE, f"{topic} has no partition {partition}, it has {count}")
            return sent
        try:
            self._producer.send(topic, *record, headers, sent.delivered, -1 if partition is None else partition)
        except Away as away:
            sent.outcome = Offset(None, None, RETRIABLE, str(away))
        except ValueError as too_large:
            sent.outcome = Offset(None, None, NOT_RETRIABLE, str(too_large))
        else:
            wait.expect()
        return sent

    def _late(self) -> Offset:
        error = f"the broker has not acknowledged the record within {self._deadlines.seconds:g} s; it may yet be written"
        return Offset(None, None, RETRIABLE, error)

    def _answer(self, offsets: list[Offset], conversion: Conversion) -> Answer:
        written = sum(offset.error_code is None for offset in offsets)
        self.written += written
        self.failed += len(offsets) - written
        if written:
            told = ProduceOut(offsets, conversion.key_schema_id, conversion.value_schema_id)
            return Answer(msgspec.json.encode(told), content_type=V2_JSON)
        first = next((one for one in offsets if one.error_code == RETRIABLE), offsets[0])
        retriable = first.error_code == RETRIABLE
        failed = ProduceFailed(50003 if retriable else 422, f"no record was written: {first.error}", offsets)
        headers = [(b"retry-after", b"%d" % RETRY_AFTER)] if retriable else []
        return Answer(msgspec.json.encode(failed), 503 if retriable else 422, V2_JSON, headers)


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


def _acceptable(request: Request) -> None:
    """Raises Fault 406 when the client takes nothing that is answered."""
    if not request.accept:
        return
    for given in request.accept.lower().split(b","):
        media_type, _, parameters = given.partition(b";")
        if media_type.strip() in _ANSWERS and parameters.replace(b" ", b"") not in (b"q=0", b"q=0.0"):
            return
    raise Fault(406, "NOT_ACCEPTABLE", f"answers are {V2_JSON.decode()}")
