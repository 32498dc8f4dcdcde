"""Records that somebody wrote down as JSON lines, as the rows of a rule: what `fleetlog rule test --records` evaluates.

A line is a record of the rule's input as the contract has it, as far as the rule needs it: `device_id`, `received_at`,
`occurred_at`, and fields; telemetry has `readings`. A time is RFC 3339 or microseconds since 1970. `device` may say what is
known of the device: `{"state": "operational", "model": "mk2", "labels": {"site": "7"}}`.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import polars as pl

from schemas.moments import BadMoment, moment_of
from schemas.rules.inputs import LABEL_COLUMN, METRIC_COLUMN
from streams.rules.compiled import CompiledRule
from streams.rules.dtypes import DTYPES
from streams.rules.ports import AT, KEY, RECEIVED

LAST = 7_258_118_399_999_999
"""The last moment that the contract allows: records may be of the future."""


class BadRecord(ValueError):
    """A line is no record; the message names the line."""


class Rows(NamedTuple):
    """A frame of rows, and the line (from 1) that each is from."""

    frame: pl.DataFrame
    lines: tuple[int, ...]


def rows(rule: CompiledRule, lines: Iterable[str]) -> Rows:
    """
    Raises:
        BadRecord
    """
    found: list[dict[str, Any]] = []
    of: list[int] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            made = list(_rows(rule, json.loads(line)))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BadRecord(f"line {number}: {_said(error)}") from None
        found += made
        of += [number] * len(made)
    schema: dict[str, Any] = {name: DTYPES.get(kind) for name, kind in rule.columns.items()}
    schema |= {KEY: pl.String(), AT: pl.Int64(), RECEIVED: pl.Int64()}
    try:
        return Rows(pl.DataFrame(found, schema=schema, infer_schema_length=None), tuple(of))
    except (TypeError, pl.exceptions.PolarsError) as error:
        raise BadRecord(f"a field is of another type than the contract's: {error}") from None


def _said(error: Exception) -> str:
    return f"{error.args[0]} is missing" if isinstance(error, KeyError) else f"no record: {error}"


def _rows(rule: CompiledRule, record: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    occurred = _time(record["occurred_at"]) if "occurred_at" in record else None
    received = _time(record["received_at"]) if "received_at" in record else occurred
    device = record.get("device", {})
    base = {
        KEY: str(record["instance"] if rule.rule.input == "system" else record["device_id"]),
        "device.state": device.get("state"),
        "device.model": device.get("model"),
        **{f"{LABEL_COLUMN}{name}": value for name, value in device.get("labels", {}).items()},
    }
    if rule.rule.input != "telemetry":
        if received is None:
            raise KeyError("received_at")
        yield _row(rule, {**dict(_flat(record, "")), **base, RECEIVED: received, AT: min(received, occurred or received)})
        return
    metrics: dict[int, dict[str, Any]] = {}
    for reading in record["readings"]:
        metrics.setdefault(_time(reading["at"]), {})[METRIC_COLUMN + reading["metric"]] = reading["value"]
    for at in sorted(metrics):
        latest = at if received is None else received
        yield _row(rule, {**base, **metrics[at], RECEIVED: latest, AT: min(at, latest)})


def _row(rule: CompiledRule, values: Mapping[str, Any]) -> dict[str, Any]:
    found = {name: values.get(name) for name in (*rule.columns, KEY, AT, RECEIVED)}
    for name, kind in rule.columns.items():
        if found[name] is not None:
            found[name] = _typed(name, kind, found[name])
    return found


def _typed(name: str, kind: str, value: Any) -> Any:
    if kind == "timestamp":
        return _time(value)
    if kind == "double" and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    wanted = {"int": int, "string": str, "bool": bool, "list": list}.get(kind)
    if kind == "double" or (
        wanted is not None and not (isinstance(value, wanted) and isinstance(value, bool) == (wanted is bool))
    ):
        raise ValueError(f"{name.removeprefix(METRIC_COLUMN)} is {value!r}, and must be of type {kind}")
    return value


def _flat(record: Mapping[str, Any], path: str) -> Iterator[tuple[str, Any]]:
    for name, value in record.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{path}{name}.")
        else:
            yield path + name, value


def _time(value: Any) -> int:
    """Microseconds since 1970."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    try:
        return moment_of(str(value), LAST)
    except BadMoment as error:
        raise ValueError(str(error)) from None
