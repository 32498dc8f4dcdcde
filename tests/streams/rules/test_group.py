"""An alert whose group has a label that the device lacks, and a number: it fires all the same."""

import json

from schemas.alert_messages import AlertFired
from schemas.rules.document import Rule
from streams.alerts.lifecycle import AlertLifecycle
from streams.rules.annotations import annotator
from streams.rules.applied import applied
from streams.rules.evaluator import evaluator
from streams.rules.ports import Moment, Place, Signal
from tests.streams.rules.world import START, World


def test_what_a_group_lacks_is_left_out_of_the_labels() -> None:
    (event,) = applied([Rule(id="hot", input="telemetry", when="temperature > 1.0")], {}, START)
    lifecycle, moment, place = AlertLifecycle(annotator()), Moment(START, START), Place("fleet.telemetry", 0, 1)
    lifecycle.rule(event, moment)
    group = '{"device.labels.owner":null,"cores":4,"device.model":"m"}'
    signal = Signal("fired", "cleared", "hot", "a", group, place, place, 2.0, moment, {})
    ((_, fired),) = lifecycle.signal(signal, evaluator(event.document, 1, World().contract), "live")
    assert isinstance(fired, AlertFired)
    assert json.loads(fired.labels) == {"cores": "4", "device.model": "m"}
