"""The services of the local stack, made from the settings. An outside broker, Redis, ClickHouse, registry or ingress
takes the place of the local one."""

import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial

from infra.settings import Settings
from infra.stack import broker, flink, health, redis_server, registry
from infra.stack.service import Port, Service, StackError

STORES = ("broker", "redis", "clickhouse", "registry-front")
CONTRACT = ("topics", "schemas")
# Neither is of use without the other. What needs the authority's keys to begin with is made by a step of its own.
TOGETHER = {
    "registry": ["registry", "registry-front"],
    "authority": ["pki", "authority"],
    "ingress": ["pki", "ingress"],
    "trends": ["flink-jobs", "flink-tasks", "trends"],
}
# Secrets, by the first part of a service's name: those that are not here get none.
NEEDED = {
    "clickhouse": ("clickhouse_password",),
    "pki": ("ca_passphrase", "pkcs11_pin"),
    "authority": ("ca_passphrase", "pkcs11_pin", "redis_url"),
    "ingress": ("api_key", "principals", "redis_url"),
    "archiver": ("archive_access_key", "archive_secret_key", "clickhouse_password", "redis_url"),
    "worker": ("clickhouse_password", "redis_url"),
}

# A worker's threads take and free blocks of megabytes all the time. By default glibc keeps a heap for each thread and
# gives next to nothing back: 560 MB resident after 300,000 records of 100,000 devices, with these 310 to 320 MB.
FRUGAL = {"MALLOC_ARENA_MAX": "2", "MALLOC_MMAP_THRESHOLD_": "131072", "MALLOC_TRIM_THRESHOLD_": "131072"}


def plan(settings: Settings, only: Iterable[str] | None = None, registry_management_port: int = 0) -> tuple[Service, ...]:
    """The services to run, those named in `only` if given ("workers" stands for all workers).

    Raises:
        StackError: `only` names something unknown, or something that a setting has replaced by an outside one.
    """
    settings = replace(settings, data_dir=str(settings.data))  # processes of the stack run in other directories
    made: dict[str, Callable[[], Service | None]] = {
        "broker": lambda: None if settings.bootstrap_servers else broker.service(settings),
        "redis": lambda: None if settings.redis_url else redis_server.service(settings),
        "clickhouse": lambda: None if settings.clickhouse_host else clickhouse(settings),
        "registry": lambda: None if settings.registry_url else registry.service(settings, registry_management_port),
        "registry-front": lambda: None if settings.registry_url else registry_front(settings, registry_management_port),
        "topics": lambda: contract_step(settings, "topics", ("topics", "apply"), ("broker",)),
        "schemas": lambda: contract_step(settings, "schemas", ("schema", "register"), ("registry-front",)),
        "pki": lambda: _own(settings, "pki", "infra.cli.main", "ca", "init"),
        "authority": lambda: authority(settings),
        "ingress": lambda: None if settings.ingress_url else ingress(settings),
    }
    for index in range(settings.workers):
        made[f"worker-{index}"] = partial(worker, settings, index)
    if settings.archiver:
        made["archiver"] = lambda: archiver(settings)
    if settings.trends:
        jobs, tasks = flink.services(settings)
        made |= {"flink-jobs": lambda: jobs, "flink-tasks": lambda: tasks, "trends": lambda: trends(settings)}
    names = list(made) if only is None else _selected(list(made), only)
    services = {name: made[name]() for name in names}
    replaced = [name for name, service in services.items() if service is None]
    if only is not None and replaced:
        raise StackError(f"{', '.join(replaced)}: the settings name an outside one, there is none to start", 2)
    return tuple(service for service in services.values() if service is not None)


def _selected(known: list[str], only: Iterable[str]) -> list[str]:
    wanted = set()
    for name in only:
        group = [k for k in known if k.startswith("worker-")] if name == "workers" else TOGETHER.get(name, [name])
        unknown = [n for n in group if n not in known]
        if unknown or not group:
            raise StackError(f"the stack has no {name!r}; it has {', '.join(known)}", 2)
        wanted.update(group)
    return [name for name in known if name in wanted]


def _own(settings: Settings, name: str, *arguments: str) -> Service:
    """A service that is a module of this project, run by this interpreter (-P: not from its working directory), with no
    more secrets in its environment than it needs: who reads it, or a dump of its memory, gets no others."""
    return Service(
        name=name,
        command=(sys.executable, "-P", "-m", *arguments),
        directory=settings.data / "run" / name,
        environment=settings.environment(NEEDED.get(name.partition("-")[0], ())),
    )


def clickhouse(settings: Settings) -> Service:
    bare = _own(
        settings,
        "clickhouse",
        *("infra.chserver", "--path", str(settings.data / "clickhouse"), "--host", settings.host),
        *("--tcp-port", str(settings.clickhouse_port), "--http-port", str(settings.clickhouse_http_port)),
    )
    user, password = settings.clickhouse_user, settings.clickhouse_password
    return replace(
        bare,
        check=lambda: health.clickhouse(settings.host, settings.clickhouse_port, user, password),
        ports=(
            Port("clickhouse_port", settings.clickhouse_port),
            Port("clickhouse_http_port", settings.clickhouse_http_port),
        ),
    )


def contract_step(settings: Settings, name: str, command: tuple[str, ...], after: tuple[str, ...]) -> Service:
    """A step that puts the contract (topics, schemas) in place and ends."""
    return replace(_own(settings, name, "infra.cli.main", *command), after=after)


def registry_front(settings: Settings, management_port: int) -> Service:
    """`management_port`: where the registry behind it says whether it is ready."""
    ready = f"http://{settings.host}:{management_port}{registry.READY}"
    return replace(
        _own(settings, "registry-front", "infra.cli.main", "registry", "--ready", ready),
        check=lambda: health.http_ok(settings.host, settings.registry_port, "/health/live"),
        after=("registry",),
        ports=(Port("registry_port", settings.registry_port),),
    )


def ingress(settings: Settings) -> Service:
    return replace(
        _own(settings, "ingress", "infra.cli.main", "ingress"),
        check=lambda: health.http_ok(settings.host, settings.ingress_port, "/health/ready"),
        after=(*CONTRACT, "broker", "registry-front", "pki"),
        ports=tuple(
            Port(name, number)
            for name in ("ingress_port", "registration_port", "data_port")
            if (number := getattr(settings, name))
        ),
    )


def authority(settings: Settings) -> Service:
    return replace(
        _own(settings, "authority", "infra.cli.main", "authority"),
        check=lambda: health.http_ok(settings.host, settings.authority_port, "/health"),
        after=(*CONTRACT, "broker", "redis", "registry-front", "pki"),
        ports=(Port("authority_port", settings.authority_port),),
        stop_seconds=20.0,
    )


def archiver(settings: Settings) -> Service:
    bare = _own(settings, "archiver", "infra.cli.main", "archiver")
    return replace(
        bare,
        environment=bare.environment | FRUGAL,
        check=lambda: health.http_ok(settings.host, settings.archiver_metrics_port, "/health"),
        after=(*CONTRACT, *STORES),
        ports=(Port("archiver_metrics_port", settings.archiver_metrics_port),),
    )


def trends(settings: Settings) -> Service:
    """What submits the job of Flink, and again when Flink has forgotten it."""
    return replace(
        _own(settings, "trends", "infra.cli.main", "trends", "keep"),
        check=lambda: flink.check_kept(settings, "trends"),
        after=(*CONTRACT, "broker", "registry-front", "flink-tasks"),
        start_seconds=300.0,
    )


def worker(settings: Settings, index: int) -> Service:
    port = settings.worker_metrics_port + index
    bare = _own(settings, f"worker-{index}", "infra.cli.main", "worker", "--index", str(index))
    return replace(
        bare,
        environment=bare.environment | FRUGAL,
        check=lambda: health.http_ok(settings.host, port, "/health"),
        after=(*CONTRACT, *STORES),
        ports=(Port("worker_metrics_port", port),),
        stop_seconds=20.0,
    )
