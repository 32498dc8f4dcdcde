"""`fleetlog topics`: the contract's topics, on the broker and as a document."""

import argparse
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from infra.cli.command import Commands, add_command, fail, print_json
from infra.settings import Settings

if TYPE_CHECKING:
    from connectors.kafka_topics import Comparison, KafkaTopics
    from schemas.contract import Topic


def add(commands: Commands) -> None:
    topics = add_command(
        commands,
        "topics",
        "make the broker's topics what schemas/topics.toml declares; never deletes, never changes a number of partitions",
        "fleetlog topics diff && echo as declared",
        _run,
    )
    topics.add_argument(
        "action",
        choices=("apply", "diff", "describe", "asyncapi"),
        help="apply: create what is missing, alter settings; diff: say what differs (exit code 1 if anything does); "
        "describe: list the topics; asyncapi: print the AsyncAPI document of the declared topics, which needs no broker",
    )
    topics.add_argument("--json", action="store_true", help="print JSON")


def _run(options: argparse.Namespace, settings: Settings) -> int:
    if options.action == "asyncapi":
        return _asyncapi(settings)
    from confluent_kafka import KafkaException

    from connectors.kafka_topics import KafkaTopics
    from connectors.ports import Away
    from schemas.contract import load

    actions = {"apply": _apply, "diff": _diff, "describe": _describe}
    try:
        return actions[options.action](KafkaTopics(settings.kafka), list(load().topics.values()), options.json)
    except Away as error:
        return fail(f"the broker at {settings.kafka} does not answer: {error}", 3)
    except KafkaException as error:
        return fail(f"the broker at {settings.kafka} refuses: {error.args[0]}", 3)


def _asyncapi(settings: Settings) -> int:
    from schemas.asyncapi import Addresses, document
    from schemas.contract import load

    print(json.dumps(document(load(), Addresses(settings.kafka, settings.registry)), indent=2))
    return 0


def _apply(cluster: "KafkaTopics", declared: "list[Topic]", as_json: bool) -> int:
    before, after = cluster.apply(declared)
    left = set(after.differences)
    done = [difference for difference in before.differences if difference not in left]
    if as_json:
        print_json(_report(after) | {"done": [asdict(difference) for difference in done]})
    else:
        for difference in done:
            print(f"{difference.topic}: {difference.what} {difference.actual} -> {difference.declared}")
        _print(after)
    return 1 if left else 0


def _diff(cluster: "KafkaTopics", declared: "list[Topic]", as_json: bool) -> int:
    found = cluster.compare(declared)
    if as_json:
        print_json(_report(found))
    else:
        _print(found)
    return 1 if found.differences else 0


def _describe(cluster: "KafkaTopics", declared: "list[Topic]", as_json: bool) -> int:
    known = {topic.name: topic for topic in declared}
    actual = cluster.describe()
    if as_json:
        print_json([asdict(topic) | {"declared": topic.name in known} for topic in actual])
        return 0
    for topic in actual:
        contract = known.get(topic.name)
        holds = ", ".join(record.name for record in contract.records) if contract else "not declared"
        settings = " ".join(f"{name}={value}" for name, value in topic.settings.items())
        print(f"{topic.name}: {holds}; {topic.partitions} partitions, {topic.replicas} replicas; {settings}")
    return 0


def _report(found: "Comparison") -> dict[str, Any]:
    return {
        "equal": not found.differences,
        "differences": [asdict(difference) for difference in found.differences],
        "unknown": list(found.unknown),
    }


def _print(found: "Comparison") -> None:
    for difference in found.differences:
        by_hand = "; change it by hand, or the declaration" if difference.what == "partitions" else ""
        print(f"{difference}{by_hand}")
    for name in found.unknown:
        print(f"{name}: on the broker, but not declared (left alone)")
    if not found.differences:
        print("the topics are as declared")
