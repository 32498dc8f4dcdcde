"""Running what docs/clients.md says, as a reader would: in a folder of its own, by bash, with the programs installed."""

import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path

from infra.settings import Settings
from infra.stack import jars, java
from tests.clients import install

PATIENCE = 180.0  # seconds; ten is usual
JAVA_OPTIONS = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")  # short runs: half the time
BASH = ("bash", "-euo", "pipefail", "-c")


def folder(path: Path) -> Path:
    """A folder with what the page asks its reader to have there: jars, Go modules, Node modules."""
    (path / "jars").mkdir()
    registry_client = install.directory() / "flink" / "flink-sql-avro-confluent-registry-2.3.0.jar"
    for jar in [*(jars.directory() / "kafka").glob("*.jar"), registry_client]:
        (path / "jars" / jar.name).symlink_to(jar)
    for name in ("go.mod", "go.sum"):
        shutil.copy2(install.HERE / "go" / name, path)
    (path / "node_modules").symlink_to(install.directory() / "node" / "node_modules")
    bin_folder = path / "bin"
    bin_folder.mkdir()
    virtual_machine = java.binary(Settings())
    (compiler,) = (install.directory() / "compiler").glob("*.jar")
    options = " ".join(JAVA_OPTIONS)
    for name, command in (
        ("java", f"{virtual_machine} {options}"),
        ("javac", f"{virtual_machine} {options} -jar {compiler} -21"),
    ):
        (bin_folder / name).write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        (bin_folder / name).chmod(0o755)
    return path


def environment(path: Path) -> Mapping[str, str]:
    own = install.environment()
    return own | {"PATH": os.pathsep.join([str(path / "bin"), own["PATH"]])}


def output(script: str, path: Path) -> str:
    """What a script prints that ends by itself, and well."""
    done = subprocess.run(
        [*BASH, script], cwd=path, env=environment(path), capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def first_lines(script: str, path: Path, count: int) -> list[str]:
    """The first lines that a script prints that goes on until it is interrupted."""
    lines: list[str] = []
    with (path / "stderr").open("w+") as errors:
        process = subprocess.Popen(
            [*BASH, script],
            cwd=path,
            env=environment(path),
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,
        )
        watch = threading.Timer(PATIENCE, _end, [process])
        watch.start()
        try:
            assert process.stdout is not None
            for line in process.stdout:
                lines.append(line)
                if len(lines) == count:
                    break
        finally:
            watch.cancel()
            _end(process)
            process.wait()
            process.stdout.close()
        errors.seek(0)
        assert len(lines) == count, errors.read()
    return lines


def _end(process: "subprocess.Popen[str]") -> None:
    """End the process and those that it started, which are a group of their own."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
