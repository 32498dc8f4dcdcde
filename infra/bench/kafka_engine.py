"""The peer of the sink bench: ClickHouse's own Kafka engine, on the same topic and into a table like ours.

A queue table reads the topic (AvroConfluent), a materialized view lays the readings out as rows. Source: ClickHouse's
documentation, "Kafka table engine" and "AvroConfluent".
"""

from connectors.clickhouse_ddl import Statements, quote
from infra.bench.topic import TOPIC
from projections.telemetry import TELEMETRY
from schemas.table import Table

# Record's fields as the queue has them. The telemetry view's rows come from these.
_FIELDS = """event_id String, device_id String, occurred_at DateTime64(6, 'UTC'), received_at DateTime64(6, 'UTC'),
    boot_id String, sequence Int64,
    readings Array(Tuple(metric String, at DateTime64(6, 'UTC'), value Float64, unit Nullable(String)))"""

# What a row's columns are made of, where the queue's column is not just of the same name.
_MADE_OF = {
    "topic": "_topic",
    "partition": "toInt64(_partition)",
    "offset": "toInt64(_offset)",
    "reading": "toInt64(place) - 1",
    "metric": "tupleElement(item, 'metric')",
    "at": "tupleElement(item, 'at')",
    "value": "tupleElement(item, 'value')",
    "unit": "tupleElement(item, 'unit')",
}


def create_tables(database: str) -> list[str]:
    """Statements that make an empty database with the table that our worker writes to as well."""
    sql = Statements(database, TELEMETRY.table)
    return [sql.create_database(), sql.create_rows(1), sql.create_positions(1)]


def start(database: str, servers: str, registry: str, block_records: int) -> list[str]:
    """Statements after which the server reads the topic from its beginning into the database's table.

    Blocks are of as many records as our worker's, and a thread of its own writes them: the fastest of five settings, each
    tried once on a busy machine (blocks of 20,000 to a million records, with and without that thread).
    """
    settings = {
        "kafka_broker_list": quote(servers),
        "kafka_topic_list": quote(TOPIC),
        "kafka_group_name": quote(f"kafka-engine.{database}"),
        "kafka_format": quote("AvroConfluent"),
        "format_avro_schema_registry_url": quote(registry),
        "kafka_num_consumers": "1",
        "kafka_thread_per_consumer": "1",
        "kafka_max_block_size": str(block_records),
        "kafka_poll_max_batch_size": str(block_records),
        "kafka_flush_interval_ms": "1000",
    }
    given = ", ".join(f"{name} = {value}" for name, value in settings.items())
    return [
        f"CREATE TABLE {database}.queue ({_FIELDS}) ENGINE = Kafka SETTINGS {given}",
        f"CREATE MATERIALIZED VIEW {database}.reader TO {database}.{TELEMETRY.table.name}_v1 AS "
        f"{_select(database, TELEMETRY.table)}",
    ]


def _select(database: str, table: Table) -> str:
    columns = ", ".join(f"{_MADE_OF.get(name, name)} AS `{name}`" for name in table.names)
    return f"SELECT {columns} FROM {database}.queue ARRAY JOIN readings AS item, arrayEnumerate(readings) AS place"
