"""A column decoder that knows three writer schemas."""

import copy

from schemas.columns import ColumnDecoder
from schemas.contract import RecordType, Schema
from schemas.wire import UnknownSchema
from tests.schemas.records import RECORDS

ID, OLDER, OTHER = 7, 8, 9


def older(schema: Schema) -> Schema:
    """A writer schema that differs from the contract's: one nullable field less."""
    made = copy.deepcopy(schema)
    optional = [field for field in made["fields"] if "default" in field]
    if optional:
        made["fields"].remove(optional[-1])
    else:
        made["fields"].append({"name": "gone", "type": "long"})
    return made


def schemas_of(record: RecordType) -> dict[int, Schema]:
    other = RECORDS["TelemetryReceived" if record.name == "DeviceRegistered" else "DeviceRegistered"]
    return {ID: record.schema, OLDER: older(record.schema), OTHER: other.schema}


def decoder(record: RecordType, known: dict[int, Schema] | None = None) -> ColumnDecoder:
    schemas = schemas_of(record) if known is None else known

    def schema_of(number: int) -> Schema:
        if number not in schemas:
            raise UnknownSchema(f"no {number}")
        return schemas[number]

    return ColumnDecoder(record, schema_of)
