"""What is checked of a rule before it is turned on."""

import pytest

from infra.alerting.language import check
from schemas.rules.reading import BadRule, read

AGGREGATE = """
id: failures
input: fleet
aggregate: {of: registration, window: 1h, measures: {begun: {count: "record == 'SessionOpened'"}}}
when: begun > 10
"""


def test_a_rule_that_would_never_fire_is_refused() -> None:
    with pytest.raises(BadRule, match="there is no input trend yet"):
        check()(read("id: up\ninput: trend\nwhen: slope > 1\n"))


def test_a_rule_that_fires_is_taken() -> None:
    check()(read(AGGREGATE))
    check()(read(AGGREGATE.replace("registration", "heartbeat").replace("record == 'SessionOpened'", "uptime > 0")))
    check()(read("id: hot\ninput: telemetry\nwhen: temperature > 100\n"))
