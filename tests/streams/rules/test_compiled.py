"""Rules are compiled whole or refused with all that is wrong, at the column where it is."""

from typing import Any

import polars as pl
import pytest

from schemas.contract import load
from schemas.rules.document import Aggregate, Measure, NoData, Rule, canonical
from schemas.rules.reading import BadRule
from streams.rules.compiled import CompiledRule, compile_rule
from streams.rules.evaluation import RuleSet, measured
from streams.rules.evaluator import evaluator
from streams.rules.ports import AT, KEY, RECEIVED, RuleFailed

CONTRACT = load()
LISTS = ", ".join("[" + ",".join(str(number) for number in range(begin, begin + 300)) + "]" for begin in (0, 300))


def compiled(when: str, rule_input: Any = "telemetry", **more: Any) -> CompiledRule:
    return compile_rule(Rule(id="r", input=rule_input, when=when, **more), CONTRACT)


def rows(*each: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame([{KEY: "d", AT: number, RECEIVED: number, **row} for number, row in enumerate(each)])


@pytest.mark.parametrize(
    ("when", "rule_input", "said"),
    [
        ("temperature >", "telemetry", "column 14: Syntax error"),
        ('temperature > "a"', "telemetry", "column 13: found no matching overload"),
        ("cpu_usage.usr > 80", "heartbeat", "column 10: undeclared reference to 'cpu_usage.usr'"),
        ("uptme > 80", "heartbeat", "column 1: undeclared reference to 'uptme'"),
        ("true &&\n  uptme > 80", "heartbeat", "column 3: undeclared reference to 'uptme'\n    uptme > 80\n    ^"),
        ("uptime", "heartbeat", "'uptime' is of type int, it must be of type bool"),
        ('metric("a") > 1', "heartbeat", "column 7: only telemetry has metrics"),
        ("temperature > 9007199254740993", "telemetry", "column 15: 9007199254740993 has no exact value as a double"),
        ("temperature.x > 1", "telemetry", "column 12: "),
        ('avg(t, "5 min") > 1', "telemetry", "column 8: '5 min' is no duration"),
        ('avg(t, "0s") > 1', "telemetry", "column 8: a window of no length"),
        ('avg(t, "900d") > 1', "telemetry", "'900d' is longer than 366 days"),
        ("avg(t, device.id) > 1", "telemetry", "a window's length must be written out"),
        ('avg(avg(t, "1m"), "5m") > 1', "telemetry", "avg of what is over a window itself"),
        ('[1, 2].exists(n, avg(t + n, "1m") > 1)', "telemetry", "can't be of what a comprehension goes through"),
        ("device.labels == {}", "telemetry", "labels are asked for one by one"),
        ("distance(1, 2) > 1", "telemetry", "these records have no location"),
        ('absent_for("5m") && t > 1', "telemetry", "absent_for stands alone"),
        ("x > 1", "trend", "input: there is no input trend yet"),
        ("!" * 8_000 + " ", "telemetry", ""),
        ("(" * 200 + "t" + ")" * 200 + " > 1", "telemetry", "recursion limit"),
        (
            f"{LISTS.split('], ')[0]}].all(a, [{LISTS.split('], [')[1]}.all(b, a != b))",
            "telemetry",
            "Iteration budget exceeded",
        ),
    ],
)
def test_a_bad_expression_is_refused_with_its_column(when: str, rule_input: str, said: str) -> None:
    with pytest.raises(BadRule) as refused:
        compiled(when, rule_input)
    assert said in str(refused.value)
    assert len(str(refused.value)) < 2_000


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(BadRule) as refused:
        compiled("x >", clear="1", annotations={"a": "{{ b }}"}, group_by=("nothing",))
    assert [error.partition(":")[0] for error in refused.value.errors] == ["when", "clear", "annotations.a", "group_by"]


def test_a_megabyte_of_expression_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(BadRule, match="an expression of 1,000,006 characters"):
        compiled("t > 1 " + " " * 1_000_000)


def test_an_expensive_regex_is_harmless() -> None:
    rule = compiled('string(t).matches("(1+)+$") || device.id.matches("(x+x+)+y")')
    assert not rule.columnar
    assert "matches" in rule.why_not
    frame = rows({"metric:t": 1.0}).with_columns(pl.lit("x" * 100_000).alias(KEY))
    (found,) = RuleSet([rule]).evaluate(frame)
    assert found.raised.to_list() == [True]


def test_too_many_iterations_are_a_failure_of_the_rule_not_of_the_rows() -> None:
    rule = compiled("media_files.exists(a, media_files.exists(b, media_files.exists(c, a + b == c)))", "device-event")
    files = [f"file-{number}" for number in range(100)]
    frame = rows({"media_files": files}, {"media_files": ["a"]})
    (found,) = RuleSet([rule]).evaluate(frame)
    assert found.raised.to_list() == [None, False]
    assert found.failures == ("INTERNAL: Iteration budget exceeded",)
    document = canonical(rule.rule)
    with pytest.raises(RuleFailed, match="Iteration budget"):
        evaluator(document, 1, CONTRACT).evaluate(frame)


def test_a_second_threshold_is_a_clear_expression() -> None:
    rule = compiled("temperature > 100", hysteresis=95)
    values = [101.0, 99.0, 95.0, 94.0]
    (found,) = RuleSet([rule]).evaluate(rows(*({"metric:temperature": value} for value in values)))
    assert found.raised.to_list() == [True, False, False, False]
    assert found.cleared.to_list() == [False, False, True, True]
    assert found.value.to_list() == values


@pytest.mark.parametrize(("when", "second"), [("t > 100", 101), ("t < 10", 9), ("t > 1 && u > 1", 0), ("t > u", 1)])
def test_a_second_threshold_that_is_none_is_refused(when: str, second: float) -> None:
    with pytest.raises(BadRule, match="hysteresis"):
        compiled(when, hysteresis=second)


def test_labels_of_a_device_are_asked_for_by_name() -> None:
    rule = compiled('t > 1 && device.labels.site == "7" && !has(device.labels.old) && "site" in device.labels')
    assert rule.columnar
    assert set(rule.columns) == {"metric:t", "device.labels.site", "device.labels.old"}
    frame = rows({"metric:t": 2.0, "device.labels.site": "7"}, {"metric:t": 2.0, "device.labels.site": None})
    (found,) = RuleSet([rule]).evaluate(frame)
    assert found.raised.to_list() == [True, False]


def test_distance_is_metres_over_a_sphere() -> None:
    rule = compiled("distance(52.52, 13.405) > 100000", "heartbeat")
    paris, berlin = (48.8566, 2.3522), (52.52, 13.405)
    places = [
        dict(zip(("location.latitude", "location.longitude"), place, strict=True)) for place in (paris, berlin, (None, None))
    ]
    (found,) = RuleSet([rule]).evaluate(rows(*places))
    assert found.raised.to_list() == [True, False, None]
    assert found.value.to_list()[0] == pytest.approx(877_460, rel=0.005)


def test_silence_is_the_engine_s_affair() -> None:
    document = '{"id": "r", "input": "heartbeat", "when": "absent_for(\\"5m\\")"}'
    timing = evaluator(document, 3, CONTRACT).timing
    assert (timing.silent_after, timing.on_silence) == (300_000_000, "alert")
    (found,) = RuleSet([compiled('absent_for("5m")', "heartbeat")]).evaluate(rows({}, {}))
    assert found.raised.to_list() == [False, False]
    assert found.cleared.to_list() == [True, True]
    with pytest.raises(BadRule):
        compiled('absent_for("5m")', no_data=NoData(after="5m"))


def test_groups_are_json_objects() -> None:
    rule = compiled('event_type == "meteor"', "device-event", group_by=("event_type", "device.model"))
    (found,) = RuleSet([rule]).evaluate(rows({"event_type": 'a"b', "device.model": None}))
    assert found.group.to_list() == ['{"event_type":"a\\"b","device.model":null}']
    one = evaluator('{"id":"r","input":"device-event","when":"true","group_by":["event_type","device.model"]}', 1, CONTRACT)
    assert one.group({"event_type": 'a"b'}) == found.group.item()


def test_measures_of_a_fleet_s_aggregate() -> None:
    measures = {"all": Measure(count="true"), "bad": Measure(count="t > 1"), "sum": Measure(sum="t", where="t > 1")}
    rule = compiled(
        "all > 0 && bad / all > 0.1", "fleet", aggregate=Aggregate(of="telemetry", window="5m", measures=measures)
    )
    frame = rows({"metric:t": 1.0}, {"metric:t": 3.0}, {"metric:t": None})
    found = {name: measured(measure, frame).to_list() for name, measure in rule.measures.items()}
    assert found == {"all": [1.0] * 3, "bad": [None, 1.0, None], "sum": [None, 3.0, None]}
    (of_fleet,) = RuleSet([rule]).evaluate(rows({"all": 10.0, "bad": 2.0}, {"all": 0.0, "bad": 0.0}))
    assert of_fleet.raised.to_list() == [True, False]


def test_annotations_know_the_rule_and_its_row() -> None:
    rule = compiled(
        "t > 1", annotations={"summary": "{{ rule.id }} {{ labels.team }} {{ value | .1f }}"}, labels={"team": "a"}
    )
    assert rule.annotations({"value": 2.0}) == {"summary": "r a 2.0"}


def test_an_evaluator_carries_its_windows_through_bytes() -> None:
    document = '{"id": "r", "input": "telemetry", "when": "count(t, \\"1m\\") > 1"}'
    one, other = evaluator(document, 1, CONTRACT), evaluator(document, 1, CONTRACT)
    assert list(one.metrics) == ["t"]
    one.evaluate(rows({"metric:t": 1.0}))
    other.restore(one.windows())
    assert other.evaluate(rows({"metric:t": 1.0})).raised.to_list() == [True]
    assert other.idle("d", 200_000_000) == (False, True)
    with pytest.raises(RuleFailed, match="can't be restored"):
        other.restore(b"nonsense")
