"""`fleetlog schema`: the contract's record schemas, by themselves, beside a registry, and against what lies in the log."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra.cli.command import Commands, Run, add_command, add_group, fail, print_json
from infra.settings import Settings

if TYPE_CHECKING:
    from schemas.contract import Contract, RecordType

SAMPLE = 200


def add(commands: Commands) -> None:
    from infra.cli import schema_versions

    summary = "check, compare, release and register the record schemas"
    actions = add_group(commands, "schema", summary, "fleetlog schema check --registry --live")
    _add_check(actions)
    schema_versions.add(actions)
    add_action(
        actions,
        "release",
        "Make the schemas that changed the next versions, in released/. Refused for all if one breaks its topic's "
        "compatibility level.",
        "fleetlog schema release",
        _release,
    )


def add_action(actions: Commands, name: str, summary: str, example: str, run: Run) -> argparse.ArgumentParser:
    made = add_command(actions, name, summary, example, _guarded(run))
    made.add_argument("--root", type=Path, help="another folder of schemas than the installed one")
    made.add_argument("--json", action="store_true", help="print JSON")
    return made


def _add_check(actions: Commands) -> None:
    check = add_action(
        actions,
        "check",
        "Name all that is wrong with the contract: each schema, its compatibility with every released version, the "
        "examples, the upcasters. With --registry also against every version in the schema registry; with --live also "
        "against records in the log, so that what is compatible but read wrongly is found: fields renamed without an "
        "alias, values that become others, views that come out differently, changed units. --live reads slices of every "
        "partition, from its oldest to its newest record, and of these at most --sample records of each schema id.",
        "fleetlog schema check --registry --live --sample 500 --topic fleet.telemetry",
        _check,
    )
    check.add_argument("--registry", action="store_true", help="compare with every version in the schema registry")
    check.add_argument("--live", action="store_true", help="decode records of the log with old and new schemas")
    check.add_argument("--sample", type=_count, metavar="N", help=f"with --live: records of a schema id ({SAMPLE})")
    check.add_argument("--topic", action="append", metavar="T", help="with --live: only this topic; may be repeated")


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"not a number from 1 on: {text!r}")
    return int(text)


def _guarded(run: Run) -> Run:
    """`run`, with exit codes for what keeps it from being done."""

    def guarded(options: argparse.Namespace, settings: Settings) -> int:
        from confluent_kafka import KafkaException

        from connectors.ports import Away, UnknownSchema
        from connectors.registry import RegistryRefusal
        from schemas.codec import BadSchema
        from schemas.contract import ContractError

        try:
            return run(options, settings)
        except (ContractError, BadSchema) as error:
            return fail(str(error), 1)
        except (Away, KafkaException) as error:
            return fail(str(error), 3)
        except (RegistryRefusal, UnknownSchema) as error:
            return fail(f"the schema registry refuses: {error}", 1)

    return guarded


def _check(options: argparse.Namespace, settings: Settings) -> int:
    from schemas.check import check
    from schemas.contract import HERE, load

    root = options.root or HERE
    if (options.topic or options.sample) and not options.live:
        return fail("--topic and --sample say which records to read, which only --live does", 2)
    found = check(root)
    told: dict[str, Any] = {"findings": [finding._asdict() for finding in found], "notes": []}
    lines = [str(finding) for finding in found]
    if found and (options.registry or options.live):
        lines.append("not compared with registry or log, as the contract is not sound by itself")
    elif options.registry or options.live:
        contract = load(root)
        unknown = sorted(set(options.topic or ()) - set(contract.topics))
        if unknown:
            return fail(f"topics.toml has no topic {', '.join(unknown)}; it has {', '.join(contract.topics)}", 2)
        lines += _beside_the_registry(settings, contract, told) if options.registry else []
        lines += _in_the_log(options, settings, contract, root, told) if options.live else []
    told["sound"] = not lines
    if options.json:
        print_json(told)
        return 1 if lines else 0
    for note in told["notes"]:
        print(f"note: {note}")
    print("\n".join([*lines, f"{len(lines)} findings" if lines else "the contract is sound"]))
    return 1 if lines else 0


def _beside_the_registry(settings: Settings, contract: "Contract", told: dict[str, Any]) -> list[str]:
    from connectors.registry import ConfluentRegistry
    from infra.evolution.registered import compare

    registry = ConfluentRegistry(settings.registry, timeout=15.0)
    try:
        found = compare(registry, contract)
    finally:
        registry.close()
    told["registry"] = [subject.as_json() for subject in found]
    told["notes"] += [f"{subject.subject}: the registry does not have it yet" for subject in found if not subject.versions]
    return [f"{subject.subject}: {finding}" for subject in found for finding in subject.findings]


def _in_the_log(
    options: argparse.Namespace, settings: Settings, contract: "Contract", root: Path, told: dict[str, Any]
) -> list[str]:
    from dataclasses import asdict

    from connectors.kafka_log import KafkaLog
    from connectors.registry import ConfluentRegistry
    from infra.evolution.live import LiveCheck
    from projections.catalogue import CATALOGUE
    from schemas.upcasters import UPCASTERS

    registry = ConfluentRegistry(settings.registry, timeout=15.0)
    log = KafkaLog(settings.kafka, batch_records=50, queued_kilobytes=8_192)  # records may be of 10 MB
    try:
        made = LiveCheck(log, contract, root, registry.schema, CATALOGUE, UPCASTERS)
        report = made.run(options.topic or contract.topics, options.sample or SAMPLE)
    finally:
        log.close()
        registry.close()
    told["live"] = asdict(report)
    told["notes"] += told["live"].pop("notes")
    return [str(finding) for finding in report.findings]


def _release(options: argparse.Namespace, _settings: Settings) -> int:
    from schemas.contract import HERE, load
    from schemas.released import next_version, write_version

    root = options.root or HERE
    contract = load(root)
    due = {record.name: next_version(root, record, level_of(contract, record)) for record in contract.records.values()}
    made = {
        name: str(write_version(root, contract.records[name], version))
        for name, version in due.items()
        if version is not None
    }
    if options.json:
        print_json({"released": made})
    else:
        print("\n".join(f"{name}: {path}" for name, path in made.items()) or "nothing changed since the last release")
    return 0


def level_of(contract: "Contract", record: "RecordType") -> str:
    """The compatibility level of the topics that hold a record type; the strictest there is where they differ."""
    levels = {topic.compatibility for topic in contract.topics.values() if record in topic.records}
    return levels.pop() if len(levels) == 1 else "FULL_TRANSITIVE"
