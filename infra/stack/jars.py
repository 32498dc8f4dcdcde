"""The Java artifacts of the local stack: fetched by jgo into its cache, checked against jars.toml, laid out once.

They live beside the Python packages (SYS_PREFIX/share/fleetlog/java), so that a virtual environment is complete in itself.
"""

import fcntl
import hashlib
import os
import shutil
import sys
import tarfile
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from infra.stack.service import StackError

LIST = Path(__file__).with_name("jars.toml")
REGISTRY_ENTRY = "io.quarkus.runner.GeneratedMain"
Say = Callable[[str], None]


def directory() -> Path:
    """Where the artifacts are laid out: kafka/*.jar, flink/*.jar, and registry/ as unpacked."""
    return Path(sys.prefix) / "share" / "fleetlog" / "java"


def class_path(name: str) -> Path:
    """The file of arguments (java @FILE) that holds the class path of "kafka" or "registry".

    A file, because the registry's several hundred jars come near to the longest argument that Linux takes.
    """
    return directory() / f"{name}.args"


def ensure(say: Say) -> None:
    """Fetch and lay out what is missing; does nothing, and asks nobody, when all is there.

    Raises:
        StackError: an artifact cannot be fetched, is not the one that jars.toml names, or cannot be written.
    """
    wanted = hashlib.sha256(LIST.read_bytes()).hexdigest()
    stamp = directory() / "stamp"
    if _stamped(stamp, wanted):
        return
    try:
        directory().mkdir(parents=True, exist_ok=True)
        with locked():
            if not _stamped(stamp, wanted):
                _make(say)
                stamp.write_text(wanted)
    except OSError as error:
        raise StackError(f"cannot lay out the Java artifacts in {directory()}: {error}") from error


@contextmanager
def locked() -> Iterator[None]:
    """One process of this user at a time: jgo's cache is shared by all environments, and not made for two writers."""
    with (Path(tempfile.gettempdir()) / f"fleetlog-java-{os.getuid()}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _make(say: Say) -> None:
    artifacts = tomllib.loads(LIST.read_text())
    say(f"fetching {sum(len(group) for group in artifacts.values())} Java artifacts")
    files = fetch({name: digest for group in artifacts.values() for name, digest in group.items()})
    _copied("flink", [files[name] for name in artifacts["flink"]])
    _write_class_path("kafka", _copied("kafka", [files[name] for name in artifacts["kafka"]]))
    _lay_out_registry([files[name] for name in artifacts["registry"]])


def _stamped(stamp: Path, wanted: str) -> bool:
    return stamp.exists() and stamp.read_text() == wanted


def fetch(digests: dict[str, str]) -> dict[str, Path]:
    """Coordinate -> file in jgo's cache, checked. Repositories and cache are those of jgo's own configuration."""
    from jgo.config import GlobalSettings
    from jgo.maven import MavenContext

    own = GlobalSettings.load()
    context = MavenContext(repo_cache=own.repo_cache, remote_repos=own.repositories or None, timeout=60)

    def fetch(name: str) -> Path:
        group, artifact, version, kind, classifier = (name if name.count(":") == 4 else f"{name}:jar:").split(":")
        wanted = context.project(group, artifact).at_version(version).artifact(classifier, kind)
        return _checked(name, wanted.resolve, digests[name])

    with ThreadPoolExecutor(8) as pool:
        return dict(zip(digests, pool.map(fetch, digests), strict=True))


def _checked(name: str, resolve: Callable[[], Path], digest: str) -> Path:
    """The file, if its SHA-256 is `digest`; a wrong one (an interrupted download) is removed and fetched once more."""
    from requests import RequestException

    for _ in range(2):
        try:
            path = resolve()
        except (RuntimeError, OSError, RequestException) as error:
            raise StackError(f"cannot fetch {name}: {error}") from error
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found == digest:
            return path
        path.unlink()
    raise StackError(f"{name} has SHA-256 {found}, but {LIST.name} names {digest}")


def _copied(name: str, jars: list[Path]) -> list[Path]:
    """Copies of the jars in a folder of that name, and nothing else there."""
    target = directory() / name
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    return sorted(Path(shutil.copy2(jar, target / jar.name)) for jar in jars)


def _lay_out_registry(archives: list[Path]) -> None:
    """Unpack the registry and put its jars on one plain class path.

    Its own start jar loads them through a class loader of Quarkus, whose classes the JVM cannot keep in an ahead-of-time
    cache; on the plain class path it starts in less than half the time. Rewritten classes must come first.
    """
    target = directory() / "registry"
    shutil.rmtree(target, ignore_errors=True)
    for archive in archives:
        with tarfile.open(archive) as file:
            file.extractall(target, filter="data")
    first = [target / "quarkus" / "transformed-bytecode.jar", target / "quarkus" / "generated-bytecode.jar"]
    rest = [path for part in ("app", "lib/boot", "lib/main") for path in sorted((target / part).glob("*.jar"))]
    _write_class_path("registry", first + rest)


def _write_class_path(name: str, jars: list[Path]) -> None:
    class_path(name).write_text('-cp\n"{}"\n'.format(":".join(str(jar) for jar in jars)))
