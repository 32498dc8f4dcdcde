"""What the front of a schema registry is told from outside."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FrontOptions:
    """Addresses and limits (connectors.http.limits.Limits). Sizes are bytes, durations seconds.

    `url` is the base URL of the registry behind, in Confluent's API. `native_url` is that of Apicurio's own API (v3), where
    the registry behind is one: what its Confluent API can't say or do is asked there. `ready_url` answers 200 when the
    registry behind has read all that it keeps. Both may be empty.
    """

    url: str
    native_url: str = ""
    ready_url: str = ""
    request_deadline: float = 10.0  # of one question to the registry behind
    max_body_bytes: int = 4_000_000
    max_schema_bytes: int = 900_000  # of one schema: Kafka's usual limit of a message, less what goes with it
    max_schema_depth: int = 200  # nesting of a schema's JSON
    max_gzip_ratio: float = 100.0
    max_head_bytes: int = 16_384
    max_buffered_bytes: int = 32_000_000
    max_answer_bytes: int = 64_000_000  # of one answer of the registry behind
    max_connections: int = 1_000
    read_seconds: float = 60.0
    most_listed: int = 1_000  # schemas in one answer
    known_schemas: int = 10_000  # schemas that are remembered for when the registry behind is away
    known_bytes: int = 64_000_000  # ... and their size together
