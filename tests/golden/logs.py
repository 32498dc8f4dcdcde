"""Golden logs: records as a release wrote them, with their schemas, and the roots of every view over them.

    python -m tests.golden.logs 0.1.0

makes the log of a release from the examples of the contract where it is not there yet, adds the topics of new views, and the
roots of those revisions of views that it has none of. What is there is never changed: a root that comes out otherwise is
another revision.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from connectors.memory import MemoryLog
from projections.catalogue import CATALOGUE
from projections.projection import Projection
from schemas import contract as contracts
from schemas.codec import Decoder, encode
from schemas.log import TopicPartition
from schemas.partitioner import partition_of
from schemas.record_columns import decoder_of
from schemas.wire import prefix
from streams.implied import implied_roots

HERE = Path(__file__).parent
FLEET = ("golden-1", "golden-2", "golden-3")
DEVICE_FIELDS = ("device_id", "hardware_id")


def releases() -> list[str]:
    return sorted(folder.name for folder in HERE.iterdir() if (folder / "log.json").exists())


def kept_roots(release: str) -> dict[str, dict[str, str]]:
    """View -> revision -> root, hexadecimal."""
    found: dict[str, dict[str, str]] = json.loads((HERE / release / "roots.json").read_text("utf-8"))
    return found


def root_of(release: str, projection: Projection) -> str:
    """The root of a view over the log of a release, hexadecimal."""
    held = json.loads((HERE / release / "log.json").read_text("utf-8"))
    contract = contracts.load()
    log = MemoryLog({topic: int(count) for topic, count in held["partitions"].items()}, batch_records=7)
    for topic, partition, key, value in held["records"]:
        log.append(TopicPartition(topic, partition), bytes.fromhex(key), bytes.fromhex(value))
    schemas = {int(number): schema for number, schema in held["schemas"].items()}
    decoders = {topic: decoder_of(contract.topics[topic], schemas.__getitem__) for topic in projection.topics}
    ends = {source: end for source, (_, end) in log.bounds(projection.topics).items()}
    return implied_roots(projection, log, decoders, ends).root.hex()


def make(release: str) -> None:
    folder = HERE / release
    folder.mkdir(exist_ok=True)
    if not (folder / "log.json").exists():
        (folder / "log.json").write_text('{"partitions": {}, "schemas": {}, "records": []}\n', "utf-8")
        (folder / "roots.json").write_text("{}\n", "utf-8")
    held = json.loads((folder / "log.json").read_text("utf-8"))
    if missing := {topic for view in CATALOGUE for topic in view.topics} - held["partitions"].keys():
        more = _log(sorted(missing), len(held["schemas"]))
        held = {name: [*held[name], *part] if name == "records" else {**held[name], **part} for name, part in more.items()}
        (folder / "log.json").write_text(json.dumps(held, indent=0) + "\n", "utf-8")
    roots = kept_roots(release)
    for view in CATALOGUE:
        roots.setdefault(view.name, {}).setdefault(str(view.revision), root_of(release, view))
    (folder / "roots.json").write_text(json.dumps(roots, indent=2, sort_keys=True) + "\n", "utf-8")


def _log(topics: Sequence[str], known: int) -> dict[str, Any]:
    """Every example of the records of topics, for each of some devices, as the newest schema writes them. `known`: schemas
    that have numbers already."""
    contract = contracts.load()
    names = sorted({record.name for topic in topics for record in contract.topics[topic].records})
    numbers = {name: number for number, name in enumerate(names, known + 1)}
    records: list[tuple[str, int, str, str]] = []
    for topic in topics:
        for record in contract.topics[topic].records:
            examples = sorted((Path(contracts.__file__).parent / "examples" / record.name).glob("*.json"))
            for place, (file, device) in enumerate((file, device) for file in examples for device in FLEET):
                example = json.loads(file.read_text("utf-8"))
                if example["version"] != max(record_versions(record.name)):
                    continue
                values = Decoder(record.schema).decode(bytes.fromhex(example["body"]))
                values |= {field: device for field in DEVICE_FIELDS if isinstance(values.get(field), str)}
                for clock in values.keys() & {"occurred_at", "received_at"}:
                    values[clock] = int(values[clock]) + place * 1_000_000
                partition = partition_of(device.encode(), contract.topics[topic].partitions)
                value = prefix(numbers[record.name]) + encode(record, values)
                records.append((topic, partition, device.encode().hex(), value.hex()))
    return {
        "partitions": {topic: contract.topics[topic].partitions for topic in topics},
        "schemas": {str(numbers[name]): contract.records[name].schema for name in names},
        "records": records,
    }


def record_versions(name: str) -> list[int]:
    return [int(file.stem) for file in (Path(contracts.__file__).parent / "released" / name).glob("*.avsc")]


if __name__ == "__main__":
    make(sys.argv[1])
