"""`fleetlog schema diff`, `history` and `register`: the versions of the record schemas."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra.cli.command import Commands, fail, print_json
from infra.settings import Settings

if TYPE_CHECKING:
    from infra.evolution.history import Entry
    from infra.evolution.registered import Plan
    from schemas.contract import Contract, RecordType, Schema

WORKING, REGISTRY = "working", "registry"


def add(actions: Commands) -> None:
    from infra.cli.schema import add_action

    diff = add_action(
        actions,
        "diff",
        "What changed between two versions of the record types, field by field, and what each compatibility level says of "
        "it. Exit code 1: the level of its topic refuses it.",
        "fleetlog schema diff TelemetryReceived --from 1 --to working",
        _diff,
    )
    diff.add_argument("record", nargs="?", metavar="RECORD", help="one record type (all)")
    diff.add_argument(
        "--from", dest="older", metavar="VERSION", help="a released version, or registry (the newest released)"
    )
    diff.add_argument("--to", dest="newer", default=WORKING, metavar="VERSION", help="a released version (working)")
    history = add_action(
        actions,
        "history",
        "The versions of a record type, or with --registry those of any subject in the schema registry, and what changed "
        "each time.",
        "fleetlog schema history TelemetryReceived --registry",
        _history,
    )
    history.add_argument("what", metavar="RECORD|SUBJECT", help="a record type, or a subject in the registry")
    history.add_argument("--registry", action="store_true", help="add the versions and ids that the registry has")
    register = add_action(
        actions,
        "register",
        "Put the schemas and the compatibility levels of their topics into the schema registry. Every subject is asked "
        "for first: if one would be refused, nothing is changed.",
        "fleetlog schema register --dry-run",
        _register,
    )
    register.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")


# --- diff


def _diff(options: argparse.Namespace, settings: Settings) -> int:
    from schemas.contract import HERE, load

    root = options.root or HERE
    contract = load(root)
    if options.record is not None and options.record not in contract.records:
        return fail(f"there is no record type {options.record}; there are {', '.join(contract.records)}", 2)
    chosen = [contract.records[options.record]] if options.record else list(contract.records.values())
    told = []
    for record in chosen:
        try:
            told.append(_compared(options, settings, contract, record, root))
        except _NoVersion as error:
            return fail(str(error), 2)
    if options.json:
        print_json(told)
    else:
        for one in told:
            _print_diff(one)
    return 1 if any(one["refused"] for one in told) else 0


class _NoVersion(ValueError):
    """There is no such version of a record type."""


def _compared(
    options: argparse.Namespace, settings: Settings, contract: "Contract", record: "RecordType", root: Path
) -> dict[str, Any]:
    from dataclasses import replace

    from infra.cli.schema import level_of
    from schemas.differences import differences, verdicts
    from schemas.released import versions

    released = versions(root, record.name)
    newer = _schema(options.newer, record, released)
    made = replace(record, schema=newer)
    if options.older == REGISTRY:
        known, older_name = _registered(settings, contract, record), "the registry"
    else:
        older = options.older or str(_newest_before(options.newer, released))
        _schema(older, record, released)
        known, older_name = {at: one for at, one in released.items() if at <= int(older)}, f"version {older}"
    level, found = level_of(contract, record), verdicts(made, known)
    return {
        "record": record.name,
        "from": older_name,
        "to": WORKING if options.newer == WORKING else f"version {options.newer}",
        "differences": [one._asdict() for one in differences(newer, known[max(known)])] if known else [],
        "level": level,
        "verdicts": found,
        "refused": bool(found[level]),
    }


def _newest_before(newer: str, released: "dict[int, Schema]") -> int:
    """The newest released version, or of a released one the version before it."""
    return len(released) if newer == WORKING or not newer.isdecimal() else max(1, int(newer) - 1)


def _schema(name: str, record: "RecordType", released: "dict[int, Schema]") -> "Schema":
    if name == WORKING:
        return record.schema
    if not name.isdecimal() or int(name) not in released:
        known = ", ".join(map(str, released)) or "none yet"
        raise _NoVersion(f"{record.name} has no released version {name} (there are {known})")
    return released[int(name)]


def _registered(settings: Settings, contract: "Contract", record: "RecordType") -> "dict[int, Schema]":
    """The versions of the record type's first subject."""
    from connectors.registry import ConfluentRegistry

    subject = next(topic.subject(record) for topic in contract.topics.values() if record in topic.records)
    registry = ConfluentRegistry(settings.registry, timeout=15.0)
    try:
        return {number: registry.version(subject, number).schema for number in registry.versions(subject)}
    finally:
        registry.close()


def _print_diff(told: dict[str, Any]) -> None:
    print(f"{told['record']}: {told['to']} against {told['from']}")
    for one in told["differences"]:
        print(f"  {one['kind']:<10} {one['path'] or '(the record)'}: {one['message']}")
    if not told["differences"]:
        print("  no difference")
    allowed = [level for level, faults in told["verdicts"].items() if not faults]
    print(f"  allowed under {', '.join(allowed)}")
    for level, faults in told["verdicts"].items():
        if faults:
            mark = " (its topic's level)" if level == told["level"] else ""
            print(f"  refused under {level}{mark}: {'; '.join(faults)}")


# --- history


def _history(options: argparse.Namespace, settings: Settings) -> int:
    from connectors.registry import ConfluentRegistry
    from infra.evolution.history import of_record, of_subject
    from schemas.contract import HERE, load

    root = options.root or HERE
    contract = load(root)
    record = contract.records.get(options.what)
    if record is None and not options.registry:
        known = ", ".join(contract.records)
        return fail(f"there is no record type {options.what} ({known}); a registry's subject needs --registry", 2)
    registry = ConfluentRegistry(settings.registry, timeout=15.0) if options.registry else None
    try:
        if record is not None:
            entries = of_record(contract, root, record, registry)
        else:
            assert registry is not None
            entries = of_subject(registry, options.what)
    finally:
        if registry is not None:
            registry.close()
    if not entries:
        return fail(f"neither the contract nor the registry knows {options.what}", 2)
    if options.json:
        print_json({"name": options.what, "versions": [entry.as_json() for entry in entries]})
    else:
        for entry in entries:
            _print_entry(entry)
    return 0


def _print_entry(entry: "Entry") -> None:
    state = "" if entry.released else ", not released"
    print(f"version {entry.version}{state}, fingerprint {entry.fingerprint}")
    for subject, (version, number) in entry.ids.items():
        print(f"  in the registry: {subject} version {version}, id {number}")
    for change in entry.changes:
        print(f"  {change.kind:<10} {change}")


# --- register


def _register(options: argparse.Namespace, settings: Settings) -> int:
    from connectors.ports import Away, UnknownSchema
    from connectors.registry import ConfluentRegistry, RegistryRefusal
    from infra.evolution.registered import Unfinished, carry_out, plans
    from schemas.contract import HERE, load

    registry = ConfluentRegistry(settings.registry, timeout=15.0)
    try:
        found = plans(registry, load(options.root or HERE))
        refused = any(plan.refusals for plan in found)
        if not refused and not options.dry_run:
            carry_out(registry, found)
    except Unfinished as error:
        if not isinstance(error.__cause__, Away | RegistryRefusal | UnknownSchema):
            raise
        message = f"{error.subject}: {error.__cause__}; {error.done} of {len(found)} subjects were done, run it again"
        return fail(message, 3 if isinstance(error.__cause__, Away) else 1)
    finally:
        registry.close()
    if options.json:
        print_json({"subjects": [plan.as_json() for plan in found], "done": not refused and not options.dry_run})
    else:
        for plan in found:
            _print_plan(plan, options.dry_run or refused)
    return fail("nothing was changed: the registry would refuse what is named above", 1) if refused else 0


def _print_plan(plan: "Plan", only_planned: bool) -> None:
    number = f"id {plan.id}" if plan.id is not None else "would be registered"
    level = f"{plan.level}{f' (was {plan.present_level})' if plan.sets_level and plan.present_level else ''}"
    print(f"{plan.subject}: {plan.action}, {number}, {level}{', not done' if only_planned else ''}")
    for why in plan.refusals:
        print(f"  refused: {why}")
