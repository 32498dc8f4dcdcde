"""The AsyncAPI 3 document of the topics, made from topics.toml, the avsc files and their examples.

Source: AsyncAPI specification 3.0.0 and its Kafka bindings 0.5.0.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from schemas.contract import HERE, Contract, RecordType, Schema, Topic

AVRO = "application/vnd.apache.avro"
AVRO_SCHEMA_FORMAT = "application/vnd.apache.avro+json;version=1.9.0"
BINDING = {"bindingVersion": "0.5.0"}
STRATEGIES = {"topic": "TopicNameStrategy", "topic-record": "TopicRecordNameStrategy"}
KEY_BOUNDS = ("pattern", "minLength", "maxLength")
TRACE_WRITERS = frozenset(("ingress",))  # the producers whose records carry a traceparent
HEADERS: Schema = {
    "type": "object",
    "properties": {
        "traceparent": {
            "type": "string",
            "description": "W3C trace context of the request that brought the record.",
            "pattern": "^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}",
        }
    },
    "required": ["traceparent"],
}


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the topics are: brokers as HOST:PORT, comma-separated, and the schema registry's base URL."""

    brokers: str
    registry: str


def document(contract: Contract, addresses: Addresses | None = None, root: Path = HERE) -> Schema:
    """The whole document. Without addresses it names no server; `root` is where the examples are."""
    made: Schema = {
        "asyncapi": "3.0.0",
        "info": {
            "title": "fleetlog topics",
            "version": "1",
            "description": "Every topic of the fleet. A value is Avro in the Confluent wire format: a zero byte, the schema "
            "id as four bytes big-endian, the Avro body. A key is text in UTF-8.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": AVRO,
    }
    if addresses is not None:
        made["servers"] = dict(_servers(addresses))
    return made | {
        "channels": {topic.name: _channel(topic, root) for topic in contract.topics.values()},
        "operations": dict(_operations(contract)),
        "components": {"schemas": {name: _avro(record) for name, record in contract.records.items()}},
    }


def _servers(addresses: Addresses) -> Iterator[tuple[str, Schema]]:
    registry = {"schemaRegistryUrl": addresses.registry, "schemaRegistryVendor": "confluent", **BINDING}
    for number, host in enumerate(addresses.brokers.split(",")):
        yield f"broker-{number}", {"host": host.strip(), "protocol": "kafka", "bindings": {"kafka": registry}}


def _avro(record: RecordType) -> Schema:
    return {"schemaFormat": AVRO_SCHEMA_FORMAT, "schema": record.schema}


def _channel(topic: Topic, root: Path) -> Schema:
    holds = ", ".join(record.name for record in topic.records)
    kept = "for ever" if topic.retention_days < 0 else f"for {topic.retention_days} days, then in the archive"
    return {
        "address": topic.name,
        "title": topic.name,
        "description": f"Holds {holds}, kept {kept}.",
        "messages": {record.name: _message(topic, record, root) for record in topic.records},
        "tags": [{"name": topic.owner, "description": "The owner."}],
        "bindings": {
            "kafka": {
                "topic": topic.name,
                "partitions": topic.partitions,
                "topicConfiguration": {
                    "cleanup.policy": [topic.cleanup_policy],
                    "retention.ms": topic.broker_retention_ms,
                    "max.message.bytes": topic.max_message_bytes,
                },
                **BINDING,
            }
        },
        "x-access": topic.access,
        "x-compatibility": topic.compatibility,
    }


def _message(topic: Topic, record: RecordType, root: Path) -> Schema:
    made: Schema = {
        "name": record.full_name,
        "title": record.name,
        "summary": record.schema["doc"],
        "contentType": AVRO,
        "payload": {"$ref": f"#/components/schemas/{record.name}"},
        "bindings": {
            "kafka": {
                "key": _key(topic, record),
                "schemaIdLocation": "payload",
                "schemaIdPayloadEncoding": "confluent",
                "schemaLookupStrategy": STRATEGIES[topic.strategy],
                **BINDING,
            }
        },
        "x-subject": topic.subject(record),
    }
    if TRACE_WRITERS.issuperset(topic.producers):
        made["headers"] = HEADERS
    examples = list(_examples(record, root))
    return made | ({"examples": examples} if examples else {})


def _key(topic: Topic, record: RecordType) -> Schema:
    """The key is a field's value, or what topics.toml says in words."""
    field: Mapping[str, Any] | None = record.fields.get(topic.key)
    if field is None:
        return {"type": ["string", "null"], "description": topic.key}
    return {"type": "string", "description": f"{topic.key}: {field['doc']}"} | {
        name: field[name] for name in KEY_BOUNDS if name in field
    }


def _examples(record: RecordType, root: Path) -> Iterator[Schema]:
    """Those written under the present schema; bytes are text, a character per byte."""
    for path in sorted((root / "examples" / record.name).glob("*.json")):
        example = json.loads(path.read_text("utf-8"))
        if example["values"].keys() == record.fields.keys():
            yield {"name": path.stem, "summary": example["description"], "payload": example["values"]}


def _operations(contract: Contract) -> Iterator[tuple[str, Schema]]:
    for topic in contract.topics.values():
        for action, applications in (("send", topic.producers), ("receive", topic.consumers)):
            for application in applications:
                yield f"{application}.{action}.{topic.name}", _operation(topic, action, application)


def _operation(topic: Topic, action: str, application: str) -> Schema:
    channel = f"#/channels/{topic.name}"
    does = "writes to" if action == "send" else "reads"
    return {
        "action": action,
        "channel": {"$ref": channel},
        "summary": f"{application} {does} {topic.name}",
        "tags": [{"name": application}],
        "messages": [{"$ref": f"{channel}/messages/{record.name}"} for record in topic.records],
    }
