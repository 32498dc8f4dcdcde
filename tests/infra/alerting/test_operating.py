"""Rules and alerts by the command line, on the real broker, registry and worker."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from confluent_kafka import Producer

from connectors.alerting.port import Asked, By, NotAllowed, NotThere, RuleChange, Wrong
from infra import compose, deciders
from infra.alerting.service import Service
from infra.cli.main import parser
from infra.settings import Settings
from infra.stack.harness import Stack
from schemas import contract as contracts
from schemas.alert_messages import ALERTS
from tests.shared_stack import SharedStack
from tests.streams.alerts.stage import Stage, rule_of

pytestmark = pytest.mark.stack
SERVICES = ("broker", "redis", "registry", "topics", "schemas", "workers")
HOT = "id: hot\ninput: telemetry\nwhen: temperature > 100.0\nseverity: critical\n"


class Said(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.code == 0, self
        return json.loads(self.out)


Fleetlog = Callable[..., Said]


@pytest.fixture(scope="module")
def stack(shared_stack: SharedStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    settings = Settings(views="device_state", deciders="rules")
    with shared_stack.lend(tmp_path_factory.mktemp("rules"), SERVICES, settings=settings) as running:
        yield running


@pytest.fixture
def fleetlog(stack: Stack, capsys: pytest.CaptureFixture[str]) -> Fleetlog:
    def run(*words: object) -> Said:
        options = parser().parse_args([str(word) for word in words])
        code = options.run(options, stack.settings)
        return Said(code, *capsys.readouterr())

    return run


def test_the_life_of_a_rule(fleetlog: Fleetlog, tmp_path: Path) -> None:
    hot, cold = tmp_path / "hot.yaml", tmp_path / "cold.yaml"
    hot.write_text(HOT)
    cold.write_text('{"id": "cold", "input": "telemetry", "when": "temperature < 0.0"}')
    applied = fleetlog("rule", "apply", tmp_path, "--json").json
    assert (applied["changed"], [(one["rule_id"], one["version"]) for one in applied["rules"]]) == (
        True,
        [("cold", 1), ("hot", 1)],
    )
    assert fleetlog("rule", "apply", hot, cold, "--json").json["changed"] is False
    hot.write_text(HOT.replace("100.0", "90.0"))
    assert "version 2" in fleetlog("rule", "shadow", hot).out
    states = {(one["rule_id"], one["mode"]): one for one in fleetlog("rule", "list", "--json").json}
    assert [states["hot", mode]["version"] for mode in ("live", "shadow")] == [1, 2]
    shown = fleetlog("rule", "show", "hot", "--version", 1, "--json").json
    assert shown["document"]["when"] == "temperature > 100.0"
    assert [one["event"] for one in fleetlog("rule", "apply", hot, "--json").json["rules"]] == [
        "RuleDisabled",
        "RuleApplied",
    ]
    assert "disabled" in fleetlog("rule", "disable", "hot", "--comment", "repairs").out
    history = fleetlog("rule", "history", "hot", "--json").json
    kinds = ["RuleApplied", "RuleUnchanged", "RuleApplied", "RuleDisabled", "RuleApplied", "RuleDisabled"]
    assert [one["event"] for one in history] == kinds
    assert history[-1]["comment"] == "repairs"
    assert history[0]["position"].startswith("fleet.rules/0/")
    assert "hot" in fleetlog("rule", "list").out


def test_one_bad_file_changes_nothing_and_is_named(fleetlog: Fleetlog, tmp_path: Path) -> None:
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text(HOT.replace("hot", "fine"))
    bad.write_text(HOT + "severty: info\n")
    said = fleetlog("rule", "apply", good, bad)
    assert said.code == 2
    assert f"{bad}: line" in said.err
    assert "severty" in said.err
    assert fleetlog("rule", "show", "fine").code == 1
    assert "No such file" in fleetlog("rule", "apply", tmp_path / "none.yaml").err


def test_a_version_that_was_not_seen_is_refused(fleetlog: Fleetlog, tmp_path: Path) -> None:
    file = tmp_path / "seen.yaml"
    file.write_text(HOT.replace("hot", "seen"))
    said = fleetlog("rule", "apply", file, "--expect", 3)
    assert (said.code, "VERSION_CONFLICT" in said.err) == (1, True)
    assert fleetlog("rule", "apply", file, "--expect", 0, "--json").json["changed"] is True
    assert fleetlog("rule", "disable", "nothing").code == 1


def test_silences(fleetlog: Fleetlog) -> None:
    said = fleetlog(
        "alert", "silence", "--match", "rule_id=hot", "--match", "device_id=~green*", "--for", "1h", "--name", "night"
    )
    assert (said.code, "--comment" in said.err) == (2, True)
    words = (
        "--match",
        "rule_id=hot",
        "--match",
        "device_id=~green*",
        "--for",
        "1h",
        "--name",
        "night",
        "--comment",
        "repairs",
    )
    assert fleetlog("alert", "silence", *words, "--json").json["event"] == "SilenceCreated"
    (silence,) = fleetlog("alert", "silences", "--json").json
    assert (silence["silence_id"], silence["state"]) == ("night", "active")
    assert [one["match"] for one in silence["matchers"]] == ["equal", "glob"]
    assert "device_id=~green*" in fleetlog("alert", "silences").out
    assert fleetlog("alert", "unsilence", "night").code == 0
    assert fleetlog("alert", "silences", "--json").json == []
    assert fleetlog("alert", "silence", "--match", "what", "--comment", "x").code == 2


def test_alerts_are_listed_and_explained(fleetlog: Fleetlog, stack: Stack) -> None:
    on = Stage()
    on.apply(rule_of(severity="critical", annotations={"summary": "{{ value }} degrees"}))
    (fired,) = on.signal("fired", "greenhouse-1", value=104.5)
    on.signal("fired", "greenhouse-2")
    on.signal("resolved", "greenhouse-2", first=2)
    codec = deciders.codecs(contracts.load(), compose.registry(stack.settings), [ALERTS])[ALERTS]
    producer = Producer({"bootstrap.servers": stack.settings.kafka, "partitioner": "murmur2_random"})
    for home, event in zip(on.homes, on.said, strict=True):
        producer.produce(ALERTS, codec.encode(event), home.encode())
    assert producer.flush(10) == 0
    (open_,) = fleetlog("alert", "list", "--json").json
    assert (open_["alert_id"], open_["state"], open_["device_id"]) == (fired.alert_id, "firing", "greenhouse-1")
    assert len(fleetlog("alert", "list", "--all", "--json").json) == 2
    assert fired.alert_id[:8] in fleetlog("alert", "list", "--severity", "critical").out
    assert "no such alert" in fleetlog("alert", "list", "--severity", "info").out
    assert "104.5 degrees" in fleetlog("alert", "show", fired.alert_id[:8]).out
    assert "fleet.telemetry/0/1, value 104.5" in fleetlog("alert", "explain", fired.alert_id).out
    (step,) = fleetlog("alert", "explain", fired.alert_id, "--json").json
    assert step["position"].startswith("fleet.alerts/")
    assert fleetlog("alert", "show", "ffff").code == 1


def test_the_same_over_http(stack: Stack) -> None:
    service = Service(stack.settings)
    try:
        rule = HOT.replace("hot", "served").encode()
        (applied,) = service.apply(RuleChange("served", rule, "live", 0), By("owner"))
        assert (applied["event"], applied["version"], applied["actor"]) == ("RuleApplied", 1, "owner")
        with pytest.raises(NotAllowed, match="version 1"):
            service.apply(RuleChange("served", rule.replace(b"critical", b"info"), "live", 0), By("owner"))
        with pytest.raises(Wrong, match="which the path says"):
            service.apply(RuleChange("other", rule, "live", None), By("owner"))
        with pytest.raises(Wrong, match="when: "):
            service.apply(RuleChange("served", rule.replace(b"temperature", b"1 +"), "live", None), By("owner"))
        assert service.rule("served", None)["standing"][0]["state"] == "in_force"
        assert [one["event"] for one in service.history("served", Asked(100)).items] == ["RuleApplied", "RuleRefused"]
        assert service.disable("served", None, None, By("owner"))[0]["event"] == "RuleDisabled"
        with pytest.raises(NotThere):
            service.rule("nothing", None)
        given = {"matchers": [{"name": "a", "match": "equal", "value": "b"}], "ends_at": "2100-01-01", "comment": "x"}
        assert service.silence("over-http", given, By("owner"))["event"] == "SilenceCreated"
        assert "over-http" in [one["silence_id"] for one in service.silences(Asked(100)).items]
        with pytest.raises(Wrong, match="silence_id"):
            service.silence("no/such/id", given, By("owner"))
        with pytest.raises(NotThere):
            service.tell("ack", "ffff", {}, By("owner"))
    finally:
        service.close()


def test_all_commands_about_rules_were_decided_once(fleetlog: Fleetlog) -> None:
    rules = fleetlog("decider", "verify", "--json").json["deciders"]["rules"]
    assert rules["commands"] > 0
    assert (rules["differing"], rules["missing"], rules["undecided"]) == ([], [], 0)
