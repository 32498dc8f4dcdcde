"""Rule documents are read whole or refused with the field and the line; they read back as what they were."""

import json
from datetime import UTC, datetime

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.rules.document import MOST_BYTES, Rule, Scope, canonical, json_schema
from schemas.rules.maintenance import Maintenance
from schemas.rules.reading import BadRule, read

WHOLE = """
id: too-hot
description: A cabinet that overheats
input: telemetry
scope: {labels: {site: "7"}, models: [mk2]}
when: temperature > 100
hysteresis: 95
for: 5m
keep_firing: 90s
repeat: 2
no_data: {after: 10m, then: ok}
severity: critical
labels: {team: cooling}
annotations:
  summary: "{{ device.id }} is at {{ value }}"
group_by: [device.model]
channels: [on-call]
repeat_every: 4h
escalate:
- {after: 15m, channels: [boss]}
flapping: {changes: 4, within: 20m}
maintenance:
- {days: [sun], at: "23:30", for: 2h}
- {start: "2026-01-01T00:00:00Z", until: "2026-01-02T00:00:00Z"}
"""
LEAST = {"id": "a", "input": "heartbeat", "when": "true"}


def test_a_whole_document_reads_back_from_its_canonical_form() -> None:
    rule = read(WHOLE)
    assert rule.hold_micros == 300_000_000
    assert rule.no_data is not None
    assert rule.no_data.after_micros == 600_000_000
    assert rule.scope == Scope(labels={"site": "7"}, models=("mk2",))
    assert rule.about("d", "mk2", {"site": "7", "more": ""})
    assert not rule.about("d", "mk1", {"site": "7"})
    assert not rule.about("d", "mk2", {})
    assert read(canonical(rule)) == rule
    assert read(canonical(rule)).digest == rule.digest


def test_the_published_schema_takes_what_the_reader_takes() -> None:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(json.loads(canonical(read(WHOLE))), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**LEAST, "severe": True}, schema)


def test_json_is_read_too_and_order_changes_no_digest() -> None:
    rule = read(json.dumps(LEAST))
    assert rule == Rule(id="a", input="heartbeat", when="true")
    assert read(json.dumps(dict(reversed(LEAST.items())))).digest == rule.digest
    assert read(json.dumps({**LEAST, "severity": "critical"})).digest != rule.digest


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("id: a\ninput: telemetri\nwhen: x", "line 2: input: invalid enum value 'telemetri'"),
        ("id: 5\ninput: telemetry\nwhen: x", "line 1: id: expected `str`, got `int`"),
        ("id: a\ninput: telemetry\n", "line 1: object missing required field `when`"),
        ("id: a\ninput: telemetry\nwhen: x\nhwen: x", "unknown field `hwen`"),
        ("id: a\ninput: telemetry\nwhen: x\nfor: 5 min", "line 4: for: expected `str` matching"),
        ("id: a\ninput: telemetry\nwhen: x\nfor: 900000d", "'900000d' is longer than 366 days"),
        ("id: a\ninput: telemetry\nwhen: x\nclear: y\nhysteresis: 3", "clear and hysteresis exclude each other"),
        ("id: a\ninput: fleet\nwhen: x", "a rule of input fleet has an aggregate"),
        ("id: a\ninput: telemetry\nwhen: x\nlabels:\n  a-b: c", "line 5: labels: expected `str` matching"),
        ("id: a\ninput: telemetry\nwhen: x\nmaintenance:\n- at: '02:00'", "line 5: maintenance.0: needs start and until"),
        ("id: a\nid: b", "line 2: id is there twice"),
        ("a: &x 1\nb: *x", "line 1: anchors, aliases and tags are not allowed"),
        ("id: !!python/object:os.system a", "line 1: anchors, aliases and tags are not allowed"),
        ("{" * 5_000, "nested deeper than 12"),
        ("id: a: b", "line 1: no YAML or JSON"),
        ("- id", "a rule is a mapping of fields"),
        ("", "a rule is a mapping of fields"),
        ("x" * (MOST_BYTES + 1), "the document has 65,537 bytes"),
        (b"\xff", "no UTF-8"),
    ],
)
def test_a_bad_document_is_refused_with_its_place(text: str | bytes, said: str) -> None:
    with pytest.raises(BadRule) as refused:
        read(text)
    assert said in str(refused.value)


def outcome(text: str | bytes) -> Rule | tuple[str, ...]:
    try:
        return read(text)
    except BadRule as refused:
        return refused.errors


@given(st.text(max_size=200) | st.binary(max_size=200))
def test_any_text_is_a_rule_or_refused(text: str | bytes) -> None:
    assert outcome(text)


def micros(text: str) -> int:
    return int(datetime.fromisoformat(text).astimezone(UTC).timestamp()) * 1_000_000


def test_a_weekly_window_reaches_over_midnight() -> None:
    window = Maintenance(days=("sun",), at="23:30", length="2h")
    assert not window.covers(micros("2026-11-22T23:29:59+00:00"))
    assert window.covers(micros("2026-11-22T23:30:00+00:00"))
    assert window.covers(micros("2026-11-23T01:29:59+00:00"))
    assert not window.covers(micros("2026-11-23T01:30:00+00:00"))
    assert not window.covers(micros("2026-11-23T23:30:00+00:00"))


def test_a_single_window_begins_and_ends() -> None:
    window = Maintenance(start=datetime(2026, 1, 1, tzinfo=UTC), until=datetime(2026, 1, 2, tzinfo=UTC))
    assert [window.covers(micros(f"2026-01-0{day}T00:00:00+00:00")) for day in (1, 2)] == [True, False]
