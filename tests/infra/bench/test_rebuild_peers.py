"""The fold of single records that a rebuild is measured beside does the work of the view."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from infra.bench.peers.rebuilding import folded
from projections import device_state
from projections.updates import changes, payloads
from tests.projections.records import RECORDS


@given(st.lists(st.tuples(st.integers(0, 2), RECORDS[device_state.TELEMETRY]), max_size=12))
def test_it_knows_of_each_device_what_the_view_does(log: list[tuple[int, dict[str, Any]]]) -> None:
    devices: dict[str, dict[str, Any]] = {}
    documents: dict[str, dict[str, str]] = {}
    for offset, (partition, record) in enumerate(log):
        folded(devices, partition, offset, record)
        document = documents.setdefault(record["device_id"], {})
        document.update(changes(document, device_state.updates(device_state.TELEMETRY, partition, offset, record)))
    assert {name: _told(device) for name, device in devices.items()} == {
        name: json.loads(json.dumps(payloads(document))) for name, document in documents.items()
    }


def _told(device: dict[str, Any]) -> dict[str, Any]:
    """What the peer knows of a device, under the names of the view."""
    received = device["last"][0]
    metrics = {
        f"metric.{name}": {"value": value, "unit": unit, "at": at, "received_at": then}
        for name, (_, value, unit, at, then) in device["metrics"].items()
    }
    positions = {f"position.fleet.telemetry/{partition}": offset for partition, offset in device["positions"].items()}
    counts = {"count.telemetry": device["telemetry"], "count.readings": device["readings"]}
    seen = {"last_seen": received, "online_until": received + device_state.ONLINE_MICROS, "skew": {"micros": device["skew"]}}
    return {**counts, **seen, **positions, **metrics}
