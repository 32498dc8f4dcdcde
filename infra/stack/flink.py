"""A standalone session cluster of Apache Flink: a job manager and one task manager, from the Python package of PyFlink.

PyFlink lives in a virtual environment of its own (.venv-flink beside this one), as its pins hold others back. Its jars,
the connectors (infra/stack/jars.toml) and flink-python are linked into one folder, which is the class path of all. The task
manager is told each of its memory pools, which Flink's shell scripts would work out.
"""

import shutil
import sys
from dataclasses import replace
from pathlib import Path

from infra.settings import Settings
from infra.stack import health, jars, java
from infra.stack.service import Port, Service, StackError

LOGGING = Path(__file__).with_name("log4j2.xml")
JOB_MANAGER = "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint"
TASK_MANAGER = "org.apache.flink.runtime.taskexecutor.TaskManagerRunner"
CLIENT_HEAP = "256m"
METRICS_PORT = "metrics.reporter.prometheus.port"
SLOTS = 2  # of a job
JOBS = 2  # at a time: the trends job and a backfill


def environment(settings: Settings) -> Path:
    """The virtual environment of PyFlink."""
    return (
        Path(settings.flink_environment).resolve() if settings.flink_environment else Path(sys.prefix).parent / ".venv-flink"
    )


def home(settings: Settings) -> Path:
    """The folder of the package pyflink, which is a distribution of Flink.

    Raises:
        StackError: there is none.
    """
    found = sorted(environment(settings).glob("lib/python3.*/site-packages/pyflink"))
    if not found:
        raise StackError(f"there is no PyFlink in {environment(settings)}: `make` installs it", 3)
    return found[0]


def folder(settings: Settings) -> Path:
    return settings.data / "flink"


def checkpoints(settings: Settings, job: str) -> Path:
    """Of one job, by its name: another's state is nothing to it."""
    return folder(settings) / "checkpoints" / job


def savepoints(settings: Settings, job: str) -> Path:
    return folder(settings) / "savepoints" / job


def prepare(settings: Settings) -> None:
    """Link the jars into one folder and write Flink's configuration.

    Raises:
        StackError: PyFlink or its Java artifacts are not there.
    """
    package = home(settings)
    library = folder(settings) / "lib"
    shutil.rmtree(library, ignore_errors=True)
    library.mkdir(parents=True)
    wanted = [*(package / "lib").glob("*.jar"), *(package / "opt").glob("flink-python-*.jar")]
    for jar in [*wanted, *(jars.directory() / "flink").glob("*.jar")]:
        (library / jar.name).symlink_to(jar)
    conf = folder(settings) / "conf"
    conf.mkdir(exist_ok=True)
    lines = (f"{name}: {text}\n" for name, text in configuration(settings).items())
    (conf / "config.yaml").write_text("".join(lines), "utf-8")


def configuration(settings: Settings) -> dict[str, str]:
    """Flink's settings. The cluster listens on the host of the stack only, on trends_port and the next four ports; for
    Prometheus it answers on the two after them, on all addresses of the machine."""
    rest, jobs, blobs, tasks, data = range(settings.trends_port, settings.trends_port + 5)
    python = str(environment(settings) / "bin" / "python")
    return {
        "rest.address": settings.host,
        "rest.bind-address": settings.host,
        "rest.port": str(rest),
        "jobmanager.rpc.address": settings.host,
        "jobmanager.bind-host": settings.host,
        "jobmanager.rpc.port": str(jobs),
        "blob.server.port": str(blobs),
        "taskmanager.host": settings.host,
        "taskmanager.bind-host": settings.host,
        "taskmanager.rpc.port": str(tasks),
        "taskmanager.data.port": str(data),
        "taskmanager.numberOfTaskSlots": str(JOBS * SLOTS),
        "heartbeat.timeout": "20000",
        "heartbeat.interval": "4000",
        "python.client.executable": python,
        "python.executable": python,
        "metrics.reporters": "prometheus",
        "metrics.reporter.prometheus.factory.class": "org.apache.flink.metrics.prometheus.PrometheusReporterFactory",
        "env.java.opts.all": " ".join(_doors(settings)),
        **_memory(settings),
    }


def _memory(settings: Settings) -> dict[str, str]:
    return {
        "taskmanager.cpu.cores": "1.0",
        "taskmanager.memory.framework.heap.size": "128m",
        "taskmanager.memory.framework.off-heap.size": "64m",
        "taskmanager.memory.task.heap.size": f"{settings.trends_heap_megabytes - 128}m",
        "taskmanager.memory.task.off-heap.size": "64m",
        "taskmanager.memory.network.min": "64m",
        "taskmanager.memory.network.max": "64m",
        "taskmanager.memory.managed.size": "128m",
        "taskmanager.memory.jvm-metaspace.size": "192m",
        "taskmanager.memory.jvm-overhead.min": "64m",
        "taskmanager.memory.jvm-overhead.max": "64m",
        "io.tmp.dirs": str(folder(settings) / "tmp"),
    }


def of_each_job(settings: Settings, job: str) -> dict[str, str]:
    """What each job is told when it is submitted: a job does not go by the cluster's own settings for these."""
    return {
        "parallelism.default": str(SLOTS),
        "execution.checkpointing.interval": f"{settings.trends_checkpoint_seconds:g} s",
        "execution.checkpointing.mode": "EXACTLY_ONCE",
        "execution.checkpointing.storage": "filesystem",
        "execution.checkpointing.dir": checkpoints(settings, job).as_uri(),
        "execution.checkpointing.savepoint-dir": savepoints(settings, job).as_uri(),
        "execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
        "execution.checkpointing.num-retained": "2",
        "restart-strategy.type": "exponential-delay",
    }


def command(settings: Settings, entry: str, heap: str, *arguments: str) -> tuple[str, ...]:
    """A program of Flink on the stack's Java virtual machine, with the doors into it that Flink asks for."""
    return (
        java.binary(settings),
        f"-Xmx{heap}",
        "-XX:+UseSerialGC",
        "-XX:-UsePerfData",
        "-XX:+ExitOnOutOfMemoryError",
        f"-Dlog4j.configurationFile={LOGGING}",
        *_doors(settings),
        "-cp",
        str(folder(settings) / "lib" / "*"),
        entry,
        *arguments,
    )


def _doors(settings: Settings) -> list[str]:
    """The --add-opens and --add-exports in the distribution's own configuration."""
    text = (home(settings) / "conf" / "config.yaml").read_text("utf-8")
    return [word for word in text.split() if word.startswith("--add-")]


def variables(settings: Settings) -> dict[str, str]:
    """What PyFlink's own start of a Java virtual machine goes by."""
    machine = Path(shutil.which(java.binary(settings)) or java.binary(settings)).resolve()
    return {
        "FLINK_CONF_DIR": str(folder(settings) / "conf"),
        "FLINK_HOME": str(home(settings)),
        "FLINK_LIB_DIR": str(folder(settings) / "lib"),
        "JAVA_HOME": str(machine.parent.parent),
        "JVM_ARGS": f"-Xmx{CLIENT_HEAP} -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dlog4j.configurationFile={LOGGING}",
    }


def own(settings: Settings) -> Settings:
    """The same with a data folder within the stack's, so that both can run: a folder has one supervisor."""
    return replace(settings, data_dir=str(folder(settings)))


def wanted(settings: Settings, job: str) -> Path:
    """The file that says that a job is to run."""
    return folder(settings) / f"{job}.wanted"


def check_kept(settings: Settings, job: str) -> None:
    """The job runs, or is not to run."""
    if wanted(settings, job).exists():
        health.flink_job(settings.host, settings.trends_port, job)


def services(settings: Settings) -> tuple[Service, Service]:
    """The job manager and the task manager."""
    conf = ("--configDir", str(folder(settings) / "conf"))
    metrics = f"-D{METRICS_PORT}={settings.trends_port + 5}", f"-D{METRICS_PORT}={settings.trends_port + 6}"
    manager = Service(
        name="flink-jobs",
        command=command(settings, JOB_MANAGER, "320m", *conf, metrics[0]),
        directory=folder(settings) / "jobs",
        environment=variables(settings),
        check=lambda: health.http_ok(settings.host, settings.trends_port, "/overview"),
        ports=tuple(Port("trends_port", settings.trends_port + place) for place in (0, 1, 2, 5)),
        prepare=lambda: prepare(settings),
        start_seconds=120.0,
    )
    tasks = replace(
        manager,
        name="flink-tasks",
        command=command(settings, TASK_MANAGER, f"{settings.trends_heap_megabytes}m", *conf, metrics[1]),
        directory=folder(settings) / "tasks",
        check=lambda: health.flink_tasks(settings.host, settings.trends_port),
        after=("flink-jobs",),
        ports=tuple(Port("trends_port", settings.trends_port + place) for place in (3, 4, 6)),
        prepare=None,
    )
    return manager, tasks
