"""`fleetlog rule test` and `rule schema`: rules and what they would say, without a running stack."""

import argparse
import sys
from typing import TYPE_CHECKING, Any

from infra.cli.command import Commands, add_command, fail, print_json
from infra.settings import Settings

if TYPE_CHECKING:
    from streams.rules.compiled import CompiledRule

EXAMPLE = "fleetlog rule test too-hot.yaml --records readings.jsonl"


def add(actions: Commands) -> None:
    _add_test(actions)
    add_command(
        actions,
        "schema",
        "print the JSON Schema of rule documents",
        "fleetlog rule schema > rule.schema.json",
        _print_schema,
    )


def _add_test(actions: Commands) -> None:
    command = add_command(
        actions,
        "test",
        "check a rule, and say what it makes of records that are given; needs no running stack and changes nothing. "
        "Exit code 1: the rule or a record is refused",
        EXAMPLE,
        _test,
    )
    command.add_argument("file", metavar="FILE", help="the rule: YAML or JSON; - for standard input")
    command.add_argument("--records", metavar="FILE", help="evaluate it over these: a JSON record a line (docs/rules.md)")
    command.add_argument("--json", action="store_true", help="print JSON; with --records an object a line")


def _print_schema(options: argparse.Namespace, settings: Settings) -> int:
    from schemas.rules.document import json_schema

    print_json(json_schema())
    return 0


def _test(options: argparse.Namespace, settings: Settings) -> int:
    from infra.rule_records import BadRecord
    from schemas import contract
    from schemas.rules.reading import BadRule, read
    from streams.rules.compiled import compile_rule

    try:
        rule = compile_rule(read(_bytes(options.file)), contract.load())
        return _about(rule, options.json) if options.records is None else _over(rule, options)
    except OSError as error:
        return fail(f"{error.filename}: {error.strerror}", 2)
    except BadRule as refused:
        for fault in refused.errors:
            print(f"fleetlog: {options.file}: {fault}", file=sys.stderr)
        return 1
    except (BadRecord, UnicodeDecodeError) as error:
        return fail(f"{options.records}: {error}", 1)


def _bytes(name: str) -> bytes:
    from pathlib import Path

    from schemas.rules.document import MOST_BYTES

    if name == "-":
        return sys.stdin.buffer.read(MOST_BYTES + 1)
    with Path(name).open("rb") as file:
        return file.read(MOST_BYTES + 1)


def _about(rule: "CompiledRule", as_json: bool) -> int:
    """What was understood of a rule."""
    reads = sorted(rule.columns)
    about = {
        "id": rule.rule.id,
        "digest": rule.rule.digest,
        "topic": rule.topic,
        "reads": reads,
        "windows": len({call.column for call in rule.calls.values()}),
        "columnar": rule.columnar,
        "why_not_columnar": rule.why_not or None,
    }
    if as_json:
        print_json(about)
    else:
        how = "over columns" if rule.columnar else f"record by record: {rule.why_not}"
        print(f"{rule.rule.id} is a rule on {rule.topic}, evaluated {how}")
        print(f"  reads {', '.join(reads) or 'nothing'}")
        print(f"  digest {about['digest']}")
    return 0


def _over(rule: "CompiledRule", options: argparse.Namespace) -> int:
    """What a rule says of each row of the given records."""
    import json
    from pathlib import Path

    from infra.rule_records import rows
    from schemas.moments import text
    from streams.rules.evaluation import RuleSet
    from streams.rules.ports import AT, KEY

    with Path(options.records).open(encoding="utf-8") as file:
        frame, lines = rows(rule, file)
    (found,) = RuleSet((rule,)).evaluate(frame)
    columns = (lines, frame[KEY], frame[AT], found.raised, found.cleared, found.value, found.group, found.late)
    for line, key, at, raised, cleared, value, group, late in zip(*columns, strict=True):
        said = _word(raised, cleared, late)
        if options.json:
            one = {"line": line, "key": key, "at": text(at), "says": said, "raised": raised, "cleared": cleared}
            print(json.dumps({**one, "value": value, "group": group, "late": late}, sort_keys=True))
        else:
            shown = "" if value is None else f"{value:.6g}"
            print(f"line {line:<6} {key:<24} {text(at):<27} {said:<8} {shown:>12} {group}".rstrip())
    for failure in found.failures:
        print(f"fleetlog: {options.file}: {failure}", file=sys.stderr)
    return 1 if found.failures else 0


def _word(raised: Any, cleared: Any, late: bool) -> str:
    if late:
        return "late"
    if raised is None:
        return "unclear"
    return "raised" if raised else "clear" if cleared else "between"
