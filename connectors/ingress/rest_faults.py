"""Faults as Confluent's REST Proxy v2 tells them: `{"error_code", "message"}`."""

import msgspec

from connectors.http.request import Answer, Fault, Request
from connectors.ingress.rest_answers import RestError, message_of
from connectors.ingress.rest_media import fault_type

# Confluent's numbers, and ours for idempotency keys (they end in 90); a fault that is not here has its HTTP status.
ERROR_CODES = {
    "UNAUTHORIZED": 40101,
    "TOPIC_FORBIDDEN": 40301,
    "CLUSTER_FORBIDS": 40301,
    "TOPIC_NOT_FOUND": 40401,
    "PARTITION_NOT_FOUND": 40402,
    "SCHEMA_LOOKUP_FAILED": 40801,
    "KEY_SCHEMA_MISSING": 42201,
    "VALUE_SCHEMA_MISSING": 42202,
    "BAD_AVRO_DATA": 42203,
    "INVALID_SCHEMA": 42205,
    "INVALID_IDEMPOTENCY_KEY": 40090,
    "OUTCOME_UNKNOWN": 40990,
    "IDEMPOTENCY_KEY_REUSED": 42290,
    "OVERLOADED": 42901,
    "BROKER_UNAVAILABLE": 50003,
    "REQUEST_UNDER_WAY": 50390,
}


def rest_error(fault: Fault, request: Request) -> Answer:
    """A fault as an answer."""
    told = RestError(ERROR_CODES.get(fault.code, fault.status), message_of(fault))
    return Answer(msgspec.json.encode(told), fault.status, fault_type(request), fault.headers)
