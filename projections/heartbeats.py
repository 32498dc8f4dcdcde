"""heartbeats: a row per heartbeat, its nested records laid flat."""

import polars as pl

from projections.projection import RowProjection
from schemas.table import PROVENANCE, Column, ColumnType, Table

LONG, DOUBLE, BOOLEAN, TIMESTAMP = ColumnType.LONG, ColumnType.DOUBLE, ColumnType.BOOLEAN, ColumnType.TIMESTAMP

# Nested field of the record -> its parts as (field, column, type, doc).
NESTED: dict[str, tuple[tuple[str, str, ColumnType, str], ...]] = {
    "memory_usage": (
        ("total", "memory_total", LONG, "Memory installed, bytes."),
        ("used", "memory_used", LONG, "Memory in use, bytes."),
        ("free", "memory_free", LONG, "Memory unused, bytes."),
        ("cached", "memory_cached", LONG, "Memory used as cache, bytes."),
    ),
    "cpu_usage": (
        ("user", "cpu_user", DOUBLE, "Processor time in user code, percent."),
        ("system", "cpu_system", DOUBLE, "Processor time in the kernel, percent."),
        ("idle", "cpu_idle", DOUBLE, "Processor idle, percent."),
        ("load_average", "load_average", ColumnType.DOUBLES, "Load averages over 1, 5 and 15 minutes."),
    ),
    "disk_usage": (
        ("total", "disk_total", LONG, "Disk size, bytes."),
        ("used", "disk_used", LONG, "Disk in use, bytes."),
        ("free", "disk_free", LONG, "Disk free, bytes."),
    ),
    "network_quality": (
        ("signal_strength", "signal_strength", DOUBLE, "Signal strength, dBm."),
        ("latency", "latency", DOUBLE, "Network latency, milliseconds."),
        ("throughput", "throughput", DOUBLE, "Network throughput, bits per second."),
        ("packet_loss", "packet_loss", DOUBLE, "Packets lost, percent."),
    ),
    "camera_status": (
        ("connected", "camera_connected", BOOLEAN, "Whether the camera answers; null without a camera."),
        ("recording", "camera_recording", BOOLEAN, "Whether it records; null without a camera."),
        ("last_frame_time", "camera_last_frame_time", TIMESTAMP, "Its last frame, by the device's clock, or null."),
        ("error", "camera_error", ColumnType.STRING, "What is wrong with it, or null."),
    ),
    "location": (
        ("latitude", "latitude", DOUBLE, "Degrees north, or null."),
        ("longitude", "longitude", DOUBLE, "Degrees east, or null."),
        ("altitude", "altitude", DOUBLE, "Metres above the WGS 84 ellipsoid, or null."),
        ("accuracy", "accuracy", DOUBLE, "Radius of the 68 % circle in metres, or null."),
        ("timestamp", "located_at", TIMESTAMP, "When the position was taken, by the device's clock, or null."),
    ),
    "error_count": (
        ("camera_errors", "camera_errors", LONG, "Camera errors since the device's start."),
        ("network_errors", "network_errors", LONG, "Network errors since the device's start."),
        ("storage_errors", "storage_errors", LONG, "Storage errors since the device's start."),
        ("detection_errors", "detection_errors", LONG, "Detection errors since the device's start."),
    ),
    "metrics": (
        ("events_detected_today", "events_detected_today", LONG, "Events detected since midnight UTC."),
        ("events_uploaded_today", "events_uploaded_today", LONG, "Events uploaded since midnight UTC."),
        ("average_detection_latency", "average_detection_latency", DOUBLE, "Mean milliseconds, frame to detection."),
        ("storage_usage_mb", "storage_usage_mb", DOUBLE, "Megabytes that recordings take."),
    ),
}
OPTIONAL = ("camera_status", "location")

TABLE = Table(
    name="heartbeats",
    columns=(
        *PROVENANCE,
        Column("event_id", ColumnType.STRING, "Id of the event (UUIDv7)."),
        Column("device_id", ColumnType.STRING, "Device that reported."),
        Column("boot_id", ColumnType.STRING, "The device's start that the heartbeat belongs to."),
        Column("sequence", LONG, "Number of the heartbeat since that start."),
        Column("occurred_at", TIMESTAMP, "When it was made, by the device's clock."),
        Column("received_at", TIMESTAMP, "When it was accepted, by the server's clock."),
        Column("uptime", LONG, "Seconds since the device's start."),
        *(
            Column(column, type_, doc, nullable=field in OPTIONAL)
            for field, parts in NESTED.items()
            for _, column, type_, doc in parts
        ),
    ),
    order=("device_id", "occurred_at"),
    identity=("topic", "partition", "offset"),
)


def rows(frame: pl.DataFrame) -> pl.DataFrame:
    """The rows of a frame of HeartbeatReceived records, one each."""
    flat = [
        pl.col(field).struct.field(part).alias(column) for field, parts in NESTED.items() for part, column, _, _ in parts
    ]
    return frame.with_columns(flat).select(TABLE.names)


HEARTBEATS = RowProjection("heartbeats", ("fleet.heartbeats",), TABLE, rows)
