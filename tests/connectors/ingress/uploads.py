"""Uploads as devices send them."""

from typing import Any

AT = "2026-05-01T12:00:00Z"
MICROS = 1_777_636_800_000_000  # the same moment


def telemetry(sequence: int = 1, boot_id: str = "boot", value: float = 21.5, **more: Any) -> dict[str, Any]:
    reading = {"metric": "temperature", "at": AT, "value": value, "unit": "Cel"}
    return {"occurred_at": AT, "boot_id": boot_id, "sequence": sequence, "readings": [reading], **more}


def event(sequence: int = 1, boot_id: str = "boot") -> dict[str, Any]:
    return {
        "occurred_at": AT,
        "boot_id": boot_id,
        "sequence": sequence,
        "event_type": "detection",
        "confidence": 0.9,
        "metadata": {"score": 0.9},
        "media_files": [],
    }


def heartbeat(sequence: int = 1, boot_id: str = "boot", **more: Any) -> dict[str, Any]:
    return {
        "occurred_at": AT,
        "boot_id": boot_id,
        "sequence": sequence,
        "uptime": 12,
        "memory_usage": {"total": 100, "used": 40, "free": 50, "cached": 10},
        "cpu_usage": {"user": 10.0, "system": 5.0, "idle": 85.0, "load_average": [0.1, 0.2, 0.3]},
        "disk_usage": {"total": 100, "used": 40, "free": 60},
        "network_quality": {"signal_strength": -60.0, "latency": 12.0, "throughput": 1e6, "packet_loss": 0.0},
        "error_count": {"camera_errors": 0, "network_errors": 0, "storage_errors": 0, "detection_errors": 0},
        "metrics": {
            "events_detected_today": 1,
            "events_uploaded_today": 1,
            "average_detection_latency": 20.5,
            "storage_usage_mb": 1.5,
        },
        **more,
    }


def registration(hardware_id: str = "hw-1") -> dict[str, Any]:
    return {
        "occurred_at": AT,
        "hardware_id": hardware_id,
        "model": "cam",
        "firmware_version": "1.0",
        "capabilities": ["camera"],
    }
