"""Faults as Confluent's REST API v3 tells them: `{"error_code", "message"}`, always as application/json."""

import msgspec

from connectors.http.request import JSON, Answer, Fault, Request
from connectors.ingress.rest_answers import RestError, message_of

# Confluent's numbers, and ours for idempotency keys (they end in 90); a fault that is not here has its HTTP status.
ERROR_CODES = {
    "REFUSED": 40002,
    "UNAUTHORIZED": 40101,
    "TOPIC_FORBIDDEN": 40301,
    "CLUSTER_FORBIDS": 40301,
    "CLUSTER_NOT_FOUND": 40401,
    "TOPIC_NOT_FOUND": 40403,
    "PARTITION_NOT_FOUND": 40403,
    "SCHEMA_LOOKUP_FAILED": 40801,
    "INVALID_SCHEMA": 42205,
    "BAD_BATCH": 42208,
    "OVERLOADED": 42901,
    "BROKER_UNAVAILABLE": 50003,
    "NOT_ACKNOWLEDGED": 50003,
    "INVALID_IDEMPOTENCY_KEY": 40090,
    "OUTCOME_UNKNOWN": 40990,
    "IDEMPOTENCY_KEY_REUSED": 42290,
    "REQUEST_UNDER_WAY": 50390,
}


def v3_error(fault: Fault, request: Request) -> Answer:
    """A fault as an answer."""
    return Answer(msgspec.json.encode(error_of(fault)), fault.status, JSON, fault.headers)


def error_of(fault: Fault) -> RestError:
    """A fault as it is told: in an answer of its own, or as the result of one record."""
    return RestError(ERROR_CODES.get(fault.code, fault.status), message_of(fault))
