"""What the tests of docs/clients.md run besides the Python packages: Node modules, Go modules, Java artifacts, kcat.

`python -m tests.clients.install` brings it, into the virtual environment (SYS_PREFIX/share/fleetlog/clients) but for Go's
modules, which Go keeps in a cache of its own. Every version is pinned with a digest, but kcat's: that is Debian's.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from infra.stack import jars

HERE = Path(__file__).parent
PINNED = ("install.py", "jars.toml", "go/go.mod", "go/go.sum", "node/package.json", "node/package-lock.json")
GO_PACKAGES = ("github.com/twmb/avro", "github.com/twmb/franz-go/pkg/kgo", "github.com/twmb/franz-go/pkg/sr")
# As pinned, without a C compiler, and not optimized: with that, compiling takes half as long again.
GO = {"GOTOOLCHAIN": "local", "CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly -buildvcs=false '-gcflags=all=-N -l'"}


class NotInstalled(Exception):
    """Something can't be brought; the message names it and says why."""


def directory() -> Path:
    return Path(sys.prefix) / "share" / "fleetlog" / "clients"


def environment() -> dict[str, str]:
    """The process's variables, with the virtual environment's programs (python, node, npm, go) before the machine's."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FLEETLOG_")}
    path = os.pathsep.join([str(directory() / "kcat"), str(Path(sys.prefix) / "bin"), os.environ["PATH"]])
    return kept | GO | {"PATH": path}


def ensure() -> Path:
    """Bring what is missing, and return `directory()`; does nothing, and asks nobody, when all is there.

    Raises:
        NotInstalled: something can't be brought.
        StackError: a Java artifact can't be fetched, or is not the one that jars.toml names.
    """
    digest = hashlib.sha256()
    for name in PINNED:
        digest.update((HERE / name).read_bytes())
    wanted, stamp = digest.hexdigest(), directory() / "stamp"
    directory().mkdir(parents=True, exist_ok=True)
    with jars.locked():
        if not stamp.exists() or stamp.read_text() != wanted:
            with ThreadPoolExecutor() as pool:
                for done in [pool.submit(step) for step in (install_go, install_jars, install_node, install_kcat)]:
                    done.result()
            stamp.write_text(wanted)
    return directory()


def install_node() -> None:
    """No script of a package is run: what it would fetch is not pinned."""
    target = _emptied("node")
    for name in ("package.json", "package-lock.json"):
        shutil.copy2(HERE / "node" / name, target)
    run("Node modules", ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], target)


def install_go() -> None:
    """Compiled too, which takes longer than the download and is kept as well."""
    run("Go modules", ["go", "build", *GO_PACKAGES], HERE / "go")


def install_jars() -> None:
    groups = tomllib.loads((HERE / "jars.toml").read_text("utf-8"))
    files = jars.fetch({name: digest for group in groups.values() for name, digest in group.items()})
    for group, names in groups.items():
        target = _emptied(group)
        for name in names:
            shutil.copy2(files[name], target)


def install_kcat() -> None:
    """The machine's own, or from its Debian or Ubuntu archive, without root: with package lists of its own, unpacked
    beside the rest. apt gives the libraries too that the machine lacks."""
    target = _emptied("kcat")
    if shutil.which("kcat"):
        return
    lists, cache = target / "lists", target / "cache"
    for folder in (lists / "partial", cache / "archives" / "partial"):
        folder.mkdir(parents=True)
    options = [f"Dir::State::Lists={lists}", f"Dir::Cache={cache}", "Acquire::Languages=none", "Debug::NoLocking=1"]
    apt = ["apt-get", "--quiet", *(part for option in options for part in ("-o", option))]
    run("kcat", [*apt, "update"], target)
    run("kcat", [*apt, "install", "--yes", "--download-only", "--no-install-recommends", "kcat"], target)
    for package in cache.glob("archives/*.deb"):
        run("kcat", ["dpkg-deb", "--extract", str(package), str(target)], target)
    shutil.rmtree(lists)
    shutil.rmtree(cache)
    libraries = ":".join(str(folder) for folder in target.glob("usr/lib/*-linux-gnu*"))
    command = f'#!/bin/sh\nLD_LIBRARY_PATH="{libraries}" exec "{target}/usr/bin/kcat" "$@"\n'
    (target / "kcat").write_text(command, "utf-8")
    (target / "kcat").chmod(0o755)


def _emptied(name: str) -> Path:
    target = directory() / name
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    return target


def run(what: str, command: list[str], folder: Path) -> None:
    """
    Raises:
        NotInstalled: the command can't be run, or fails.
    """
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment(), capture_output=True, text=True, timeout=600, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotInstalled(f"{what}: {error}") from error
    if done.returncode != 0:
        raise NotInstalled(
            f"{what}: {' '.join(command)} ended with {done.returncode}: {(done.stderr or done.stdout)[:2000]}"
        )


if __name__ == "__main__":
    ensure()
