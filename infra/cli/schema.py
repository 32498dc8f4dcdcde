"""`fleetlog schema`: the contract's record schemas."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra.cli.command import Commands, add_command, fail, print_json
from infra.settings import Settings

if TYPE_CHECKING:
    from connectors.registry import ConfluentRegistry
    from schemas.contract import Contract, RecordType, Topic


def add(commands: Commands) -> None:
    schema = add_command(
        commands,
        "schema",
        "check, release and register the record schemas",
        "fleetlog schema check",
        _run,
    )
    schema.add_argument(
        "action",
        choices=("check", "release", "register"),
        help="check: name all that is wrong with the contract (exit code 1 if anything is); release: make the current "
        "schemas that changed the next versions; register: put them into the schema registry, with the compatibility "
        "levels of their topics",
    )
    schema.add_argument("--root", type=Path, help="another folder of schemas than the installed one")
    schema.add_argument("--json", action="store_true", help="print JSON")


def _run(options: argparse.Namespace, settings: Settings) -> int:
    from schemas.contract import HERE, ContractError

    actions = {"check": _check, "release": _release, "register": _register}
    try:
        return actions[options.action](options.root or HERE, options.json, settings)
    except ContractError as error:
        return fail(str(error), 1)


def _check(root: Path, as_json: bool, _settings: Settings) -> int:
    from schemas.check import check

    found = check(root)
    if as_json:
        print_json({"sound": not found, "findings": [finding._asdict() for finding in found]})
    else:
        for finding in found:
            print(finding)
        print(f"{len(found)} findings" if found else "the contract is sound")
    return 1 if found else 0


def _release(root: Path, as_json: bool, _settings: Settings) -> int:
    from schemas.contract import load
    from schemas.released import next_version, write_version

    contract = load(root)
    due = {record.name: next_version(root, record, _level(contract, record)) for record in contract.records.values()}
    made = {
        name: str(write_version(root, contract.records[name], version))
        for name, version in due.items()
        if version is not None
    }
    if as_json:
        print_json({"released": made})
    else:
        print("\n".join(f"{name}: {path}" for name, path in made.items()) or "nothing changed since the last release")
    return 0


def _level(contract: "Contract", record: "RecordType") -> str:
    """The compatibility level of the topics that hold a record type; the strictest there is where none does."""
    levels = {topic.compatibility for topic in contract.topics.values() if record in topic.records}
    return levels.pop() if len(levels) == 1 else "FULL_TRANSITIVE"


def _register(root: Path, as_json: bool, settings: Settings) -> int:
    from connectors.ports import Away
    from connectors.registry import ConfluentRegistry, RegistryRefusal
    from schemas.contract import load

    registry = ConfluentRegistry(settings.registry, timeout=15.0)
    done = []
    try:
        for topic in load(root).topics.values():
            done += [_register_one(registry, topic, record) for record in topic.records]
    except Away as error:
        return fail(str(error), 3)
    except RegistryRefusal as error:
        return fail(f"the schema registry refuses: {error}", 1)
    finally:
        registry.close()
    if as_json:
        print_json({"subjects": done})
    else:
        for one in done:
            print(f"{one['subject']}: id {one['id']}, {one['compatibility']}{', new' if one['new'] else ''}")
    return 0


def _register_one(registry: "ConfluentRegistry", topic: "Topic", record: "RecordType") -> dict[str, Any]:
    subject = topic.subject(record)
    before = registry.versions(subject)
    number = registry.register(subject, record.schema)
    if registry.compatibility(subject) != topic.compatibility:
        registry.set_compatibility(subject, topic.compatibility)
    return {
        "subject": subject,
        "id": number,
        "compatibility": topic.compatibility,
        "new": registry.versions(subject) != before,
    }
