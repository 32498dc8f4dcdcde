"""`fleetlog schema` against a real registry and a real log."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from confluent_kafka import Producer

from connectors.registry import ConfluentRegistry
from infra.cli.main import parser
from infra.settings import Settings, load
from infra.stack.harness import Stack, running_stack
from schemas.codec import encode
from schemas.contract import HERE, RecordType, Schema
from schemas.contract import load as load_contract
from schemas.wire import prefix

pytestmark = pytest.mark.stack
CONTRACT = load_contract()
EVENT = CONTRACT.records["DeviceEventReceived"]
SUBJECT = "fleet.device-events-value"
SUBJECTS = [topic.subject(record) for topic in CONTRACT.topics.values() for record in topic.records]


class Said(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Command = Callable[..., Said]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    # A stack of its own: the registry is to be empty.
    with running_stack(tmp_path_factory.mktemp("stack"), only=("broker", "registry", "topics")) as stack:
        yield stack


@pytest.fixture
def schema(stack: Stack, capsys: pytest.CaptureFixture[str]) -> Command:
    def run(*arguments: str, settings: Settings | None = None) -> Said:
        options = parser().parse_args(["schema", *arguments])
        code = int(options.run(options, settings or stack.settings))
        return Said(code, *capsys.readouterr())

    return run


@pytest.fixture
def registry(stack: Stack) -> Iterator[ConfluentRegistry]:
    made = ConfluentRegistry(stack.settings.registry, timeout=15.0)
    yield made
    made.close()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A copy of the contract, to be changed."""
    made = tmp_path / "schemas"
    shutil.copytree(HERE, made, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    return made


def change(root: Path, **fields: Any) -> Schema:
    """Change fields of DeviceEventReceived; one that is None is removed, one that is new added."""
    path = root / "avsc/device/DeviceEventReceived.avsc"
    made: Schema = json.loads(path.read_text("utf-8"))
    known = {field["name"]: field for field in made["fields"]}
    for name, attributes in fields.items():
        if attributes is None:
            made["fields"].remove(known[name])
        elif name in known:
            known[name].update(attributes)
        else:
            made["fields"].append({"name": name, **attributes})
    path.write_text(json.dumps(made))
    return made


REQUIRED: dict[str, Any] = {"type": "string", "doc": "Site.", "maxLength": 9}
OPTIONAL: dict[str, Any] = {"type": ["null", "string"], "doc": "Site.", "maxLength": 9, "default": None}


# In the order in which they are written: the registry starts empty.


def test_a_dry_run_changes_nothing(schema: Command, registry: ConfluentRegistry) -> None:
    said = schema("register", "--dry-run", "--json")
    assert said.code == 0
    assert [(one["subject"], one["action"], one["id"]) for one in said.json["subjects"]] == [
        (subject, "new subject", None) for subject in SUBJECTS
    ]
    assert not said.json["done"]
    beside = schema("check", "--registry")
    assert (beside.code, beside.out.count("the registry does not have it yet")) == (0, len(SUBJECTS))
    assert [registry.versions(subject) for subject in SUBJECTS] == [[] for _ in SUBJECTS]


def test_register_brings_schemas_and_levels_and_is_idempotent(schema: Command, registry: ConfluentRegistry) -> None:
    first, second = schema("register", "--json"), schema("register", "--json")
    assert (first.code, second.code) == (0, 0)
    assert [one["new"] for one in first.json["subjects"]] == [True] * len(SUBJECTS)
    assert [one["action"] for one in second.json["subjects"]] == ["unchanged"] * len(SUBJECTS)
    assert [one["id"] for one in second.json["subjects"]] == [one["id"] for one in first.json["subjects"]]
    assert {registry.compatibility(subject) for subject in SUBJECTS} == {"BACKWARD_TRANSITIVE"}
    assert schema("check", "--registry").code == 0


def test_one_refused_subject_keeps_all_from_being_changed(schema: Command, registry: ConfluentRegistry, root: Path) -> None:
    change(root, site=REQUIRED)
    heartbeat = root / "avsc/device/HeartbeatReceived.avsc"
    fine = json.loads(heartbeat.read_text("utf-8"))
    fine["fields"].append({"name": "site", **OPTIONAL})
    heartbeat.write_text(json.dumps(fine))
    said = schema("register", "--root", str(root))
    assert said.code == 1
    assert "fleet.heartbeats-value: new version, would be registered, BACKWARD_TRANSITIVE, not done" in said.out
    assert "refused: site: is new and has no default: not BACKWARD_TRANSITIVE with version 1" in said.out
    assert "refused: the registry, at its present level" in said.out
    assert "nothing was changed" in said.err
    assert registry.versions("fleet.heartbeats-value") == registry.versions(SUBJECT) == [1]


def test_check_beside_the_registry_is_transitive(schema: Command, registry: ConfluentRegistry, root: Path) -> None:
    """Version 2 in the registry, which no release knows, has a field of another type than the new one."""
    foreign = change(root, site={**OPTIONAL, "type": ["null", "long"]})
    foreign["fields"][-1].pop("maxLength")
    registry.register(SUBJECT, foreign)
    third = {**foreign["fields"][-1], "name": "place"}
    registry.register(SUBJECT, {**foreign, "fields": [*foreign["fields"][:-1], third]})
    assert registry.versions(SUBJECT) == [1, 2, 3]
    change(root, site=OPTIONAL)
    assert schema("check", "--root", str(root)).code == 0
    said = schema("check", "--registry", "--root", str(root))
    assert said.code == 1
    assert f"{SUBJECT}: site: no branch of the union reads long: not BACKWARD_TRANSITIVE with version 2" in said.out


def test_check_names_a_level_that_differs(schema: Command, registry: ConfluentRegistry) -> None:
    registry.set_compatibility(SUBJECT, "FULL")
    try:
        said = schema("check", "--registry", "--json")
        assert said.code == 1
        (subject,) = [one for one in said.json["registry"] if one["subject"] == SUBJECT]
        assert "its level is FULL, topics.toml says BACKWARD_TRANSITIVE" in subject["findings"]
        assert [one["level_was"] for one in schema("register", "--dry-run", "--json").json["subjects"]].count("FULL") == 1
    finally:
        assert schema("register").code == 0
    assert registry.compatibility(SUBJECT) == "BACKWARD_TRANSITIVE"


def test_history(schema: Command, root: Path) -> None:
    change(root, site=OPTIONAL)
    said = schema("history", "DeviceEventReceived", "--registry", "--json", "--root", str(root))
    first, second = said.json["versions"]
    assert (first["version"], first["released"], first["registry"][SUBJECT]["version"]) == (1, True, 1)
    assert (second["released"], second["registry"]) == (False, {})
    assert [(one["path"], one["kind"]) for one in second["changes"]] == [("site", "added")]
    lines = schema("history", SUBJECT, "--registry").out
    assert "version 3, fingerprint" in lines
    assert "removed    site: is gone: null or long" in lines
    assert schema("history", "Nothing", "--registry").code == 2
    assert schema("history", "Nothing").code == 2


def test_diff(schema: Command, root: Path) -> None:
    change(root, site=REQUIRED, event_type={"maxLength": 64})
    said = schema("diff", "DeviceEventReceived", "--root", str(root))
    assert said.code == 1
    assert "added      site: is new: string, no default" in said.out
    assert "attribute  event_type: maxLength is 64, was 128" in said.out
    assert "refused under BACKWARD_TRANSITIVE (its topic's level): version 1: site: is new and has no default" in said.out
    assert "allowed under NONE, FORWARD, FORWARD_TRANSITIVE" in said.out
    assert schema("diff", "--root", str(HERE)).code == 0
    told = schema("diff", "DeviceEventReceived", "--from", "registry", "--json").json[0]
    assert told["from"] == "the registry"
    assert [(one["path"], one["kind"]) for one in told["differences"]] == [("place", "removed")]
    assert schema("diff", "Nothing").code == schema("diff", "DeviceEventReceived", "--from", "9").code == 2


def produce(stack: Stack, number: int, written: Schema, count: int = 40) -> None:
    producer = Producer({"bootstrap.servers": stack.settings.kafka})
    record = RecordType(EVENT.name, EVENT.context, written)
    example: dict[str, Any] = json.loads((HERE / "examples/DeviceEventReceived/typical.json").read_text("utf-8"))["values"]
    for i in range(count):
        values = {**example, "device_id": f"device-{i % 7}", "sequence": i, "site": "x"}
        fields = {field["name"] for field in written["fields"]}
        body = encode(record, {name: value for name, value in values.items() if name in fields})
        producer.produce("fleet.device-events", prefix(number) + body, f"device-{i % 7}")
    assert producer.flush(30) == 0


def test_check_in_the_log(stack: Stack, schema: Command, registry: ConfluentRegistry, root: Path) -> None:
    """A renamed field with a default is compatible with all versions, and found in the records."""
    produce(stack, registry.register(SUBJECT, EVENT.schema), EVENT.schema)
    assert schema("check", "--live", "--sample", "30").code == 0
    metadata = next(field for field in EVENT.schema["fields"] if field["name"] == "metadata")
    change(root, metadata=None, event_metadata={**metadata, "name": "event_metadata", "default": "{}"})
    for example in (root / "examples/DeviceEventReceived").glob("*.json"):
        assert json.loads(example.read_text("utf-8"))["version"] == 1
    assert schema("check", "--root", str(root)).code == 0
    said = schema("check", "--live", "--sample", "30", "--topic", "fleet.device-events", "--json", "--root", str(root))
    assert said.code == 1
    assert (
        said.json["live"]["sampled"] == {"fleet.device-events": {"1": 30}}
        or sum(said.json["live"]["sampled"]["fleet.device-events"].values()) == 30
    )
    places = {one["place"]: one["message"] for one in said.json["live"]["findings"]}
    assert "renamed without an alias?" in places["event_metadata"]
    assert any(place.startswith("view device_events") for place in places)


def test_wrong_use_and_services_away(schema: Command) -> None:
    assert schema("check", "--live", "--topic", "nothing").code == 2
    assert schema("check", "--topic", "fleet.telemetry").code == 2
    assert schema("check", "--sample", "5").code == 2
    for action in (("check",), ("diff",), ("release",)):
        said = schema(*action, "--root", "/nowhere")
        assert (said.code, "/nowhere/topics.toml can't be read" in said.out + said.err) == (1, True), action
    away = load({"FLEETLOG_REGISTRY_URL": "http://127.0.0.1:1", "FLEETLOG_BOOTSTRAP_SERVERS": "127.0.0.1:1"})
    for arguments in (
        ("check", "--registry"),
        ("check", "--live"),
        ("register",),
        ("diff", "--from", "registry"),
        ("history", "x", "--registry"),
    ):
        said = schema(*arguments, settings=away)
        assert (said.code, "does not answer" in said.err, "127.0.0.1:1" in said.err) == (3, True, True), arguments
