"""Apache Avro's Java implementation, asked over a pipe: one JVM for as many questions as there are."""

import json
import math
import struct
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from infra.settings import Settings
from infra.stack import jars, java

SOURCE = Path(__file__).with_name("Oracle.java")
NEEDED = (
    "org.apache.avro.avro-",
    "com.fasterxml.jackson.core.",
    "org.slf4j.slf4j-api-",
    "org.apache.commons.commons-compress-",
)

# The stack's JVM has no compiler.
COMPILER = {"org.eclipse.jdt:ecj:3.42.0": "29f6d3918ee02db4400c103bc25dd90a22491c3a395867d9393070cb96a7dd29"}


class JavaAvro:
    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def ask(self, reader: Any, writer: Any, bodies: Sequence[bytes] = ()) -> dict[str, Any]:
        """See Oracle.java."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        asked = {"reader": json.dumps(reader), "writer": json.dumps(writer), "bodies": [body.hex() for body in bodies]}
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the JVM ended"
        found: dict[str, Any] = json.loads(line)
        return found


@contextmanager
def java_avro(folder: Path) -> Iterator[JavaAvro]:
    """The Avro that the schema registry brings along, on the stack's JVM; compiled into `folder`."""
    library = jars.directory() / "registry" / "lib" / "main"
    path = ":".join([str(jar) for jar in sorted(library.glob("*.jar")) if jar.name.startswith(NEEDED)] + [str(folder)])
    machine = [str(java.binary(Settings())), "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]
    (compiler,) = jars.fetch(COMPILER).values()
    subprocess.run([*machine, "-jar", str(compiler), "-17", "-cp", path, "-d", str(folder), str(SOURCE)], check=True)
    pipe, nowhere = subprocess.PIPE, subprocess.DEVNULL
    with subprocess.Popen(
        [*machine, "-cp", path, SOURCE.stem], stdin=pipe, stdout=pipe, stderr=nowhere, text=True
    ) as process:
        try:
            yield JavaAvro(process)
        finally:
            process.kill()


def tagged(value: Any) -> Any:
    """A value of ours as Oracle.java says it."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return {"i": str(value)}
    if isinstance(value, float):
        bits = 0x7FF8000000000000 if math.isnan(value) else struct.unpack("<Q", struct.pack("<d", value))[0]
        return {"f": f"{bits:x}"}
    if isinstance(value, str):
        return {"s": value}
    if isinstance(value, bytes):
        return {"b": value.hex()}
    if isinstance(value, list):
        return {"l": [tagged(item) for item in value]}
    return {"m": {name: tagged(item) for name, item in value.items()}}
