"""`fleetlog bench`: measure a part beside its peers."""

import argparse
import sys
from collections.abc import Callable
from typing import Any

from infra.cli.command import Commands, add_command, duration, fail, print_json
from infra.settings import Settings

Bench = Callable[[float], dict[str, Any]]


def _carrier(seconds: float) -> dict[str, Any]:
    from infra.bench import carrier

    return carrier.run(seconds)


def _ingress(seconds: float) -> dict[str, Any]:
    from infra.bench import ingress

    return ingress.run(seconds)


def _rest(seconds: float) -> dict[str, Any]:
    from infra.bench import rest

    return rest.run(seconds)


def _sink(seconds: float) -> dict[str, Any]:
    from infra.bench import sink

    return sink.run(seconds)


def _decode(seconds: float) -> dict[str, Any]:
    from infra.bench import decode

    return decode.run(seconds)


def _memory(seconds: float) -> dict[str, Any]:
    from infra.bench import memory

    return memory.run(seconds)


def _registration(seconds: float, storm: int = 0) -> dict[str, Any]:
    from infra.bench import registration

    return registration.run(seconds, storm)


def _rebuild(seconds: float, records: int = 0) -> dict[str, Any]:
    from infra.bench import rebuild

    return rebuild.run(seconds, records or rebuild.RECORDS)


def _transport(seconds: float) -> dict[str, Any]:
    from infra.bench import transport

    return transport.run(seconds)


def _authority(seconds: float) -> dict[str, Any]:
    from infra.bench import authority

    return authority.run(seconds)


def _decider(seconds: float) -> dict[str, Any]:
    from infra.bench import decider

    return decider.run(seconds)


def _ledger(seconds: float) -> dict[str, Any]:
    from infra.bench import ledger

    return ledger.run(seconds)


def _as_of(seconds: float) -> dict[str, Any]:
    from infra.bench import as_of

    return as_of.run(seconds)


def _proof(seconds: float) -> dict[str, Any]:
    from infra.bench import proof

    return proof.run(seconds)


def _rules(seconds: float) -> dict[str, Any]:
    from infra.bench import rules

    return rules.run(seconds)


def _rules_live(seconds: float) -> dict[str, Any]:
    from infra.bench import rules_live

    return rules_live.run(seconds)


def _rules_backtest(seconds: float) -> dict[str, Any]:
    from infra.bench import rules_backtest

    return rules_backtest.run(seconds)


def _trends(seconds: float) -> dict[str, Any]:
    from infra.bench import trends

    return trends.run(seconds)


BENCHES: dict[str, tuple[Bench, float]] = {
    "carrier": (_carrier, 80.0),
    "proof": (_proof, 30.0),
    "rules": (_rules, 20.0),
    "rules-live": (_rules_live, 60.0),
    "rules-backtest": (_rules_backtest, 60.0),
    "ingress": (_ingress, 60.0),
    "rest": (_rest, 50.0),
    "sink": (_sink, 60.0),
    "decode": (_decode, 20.0),
    "memory": (_memory, 80.0),
    "registration": (_registration, 40.0),
    "rebuild": (_rebuild, 60.0),
    "transport": (_transport, 30.0),
    "authority": (_authority, 10.0),
    "decider": (_decider, 10.0),
    "ledger": (_ledger, 20.0),
    "as-of": (_as_of, 30.0),
    "trends": (_trends, 120.0),
}
"""Each bench and the seconds that it measures by default; its set-up comes on top."""


def add(commands: Commands) -> None:
    command = add_command(
        commands,
        "bench",
        "measure a part beside its peers in the same run; starts and stops what it needs by itself",
        "fleetlog bench carrier --seconds 30 --json",
        _run,
    )
    command.add_argument("name", choices=(*BENCHES, "all"), help="what to measure")
    command.add_argument("--seconds", type=duration, help="for how long, set-up not counted (default: by bench)")
    command.add_argument("--storm", type=int, default=0, metavar="N", help="registration: N devices register at once, too")
    command.add_argument("--records", type=int, default=0, metavar="N", help="rebuild: from so many records")
    command.add_argument("--json", action="store_true", help="print the figures as JSON")
    command.add_argument("--write", metavar="FILE", help="also into FILE, Markdown; other sections there stay")


def _measured(options: argparse.Namespace, name: str, seconds: float) -> tuple[dict[str, Any], str]:
    """What a bench found, and the options that it was asked with."""
    if name == "registration" and options.storm:
        return _registration(seconds, options.storm), f" --storm {options.storm}"
    if name == "rebuild" and options.records:
        return _rebuild(seconds, options.records), f" --records {options.records}"
    bench, _ = BENCHES[name]
    return bench(seconds), ""


def _run(options: argparse.Namespace, settings: Settings) -> int:
    from datetime import date
    from pathlib import Path

    from infra.bench import report
    from infra.stack.service import StackError

    names = tuple(BENCHES) if options.name == "all" else (options.name,)
    done: list[tuple[dict[str, Any], str]] = []
    for name in names:
        _, seconds = BENCHES[name]
        if options.seconds is not None:
            seconds = options.seconds
        print(f"{name}: measuring for about {seconds:.0f} s", file=sys.stderr)
        try:
            result, asked = _measured(options, name, seconds)
            done.append((result, f"fleetlog bench {name} --seconds {seconds:g}{asked}"))
        except StackError as error:
            return fail(f"bench {name}: {error}", error.code)
        except RuntimeError as error:
            return fail(f"bench {name}: {error}", 1)
        if not options.json:
            print(report.text(done[-1][0]), end="\n\n", flush=True)
    if options.json:
        results = [result for result, _ in done]
        print_json(results if options.name == "all" else results[0])
    if options.write:
        page = Path(options.write)
        before = page.read_text("utf-8") if page.exists() else ""
        page.write_text(report.document(done, date.today(), before), "utf-8")
    return 0
