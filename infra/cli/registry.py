"""`fleetlog registry`: the process that serves the schema registry at the address, and in the API, that clients expect."""

import argparse
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from infra.cli.command import Commands, add_command, fail
from infra.settings import Settings

if TYPE_CHECKING:
    from connectors.registry_front.options import FrontOptions

CONFLUENT_PATH, NATIVE_PATH = "/apis/ccompat/v7", "/apis/registry/v3"  # of Apicurio's two APIs


def add(commands: Commands) -> None:
    command = add_command(
        commands,
        "registry",
        "Run the schema registry's front in the foreground: Confluent's API, OpenAPI, health, metrics, before Apicurio "
        "Registry or the registry that FLEETLOG_REGISTRY_URL names. SIGTERM ends it cleanly.",
        "fleetlog registry   # then: curl http://127.0.0.1:8081/subjects",
        run,
    )
    command.add_argument(
        "--ready",
        metavar="URL",
        default="",
        help="answers 200 when the registry behind has read its log (by default not asked)",
    )


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    """Run until a signal asks to stop. Exit code 2: the port is taken, or the front is to stand before itself."""
    import uvloop

    from connectors.http.server import PortTaken, listen
    from infra.logging import configure

    wrong = _wrong_url(settings)
    if wrong:
        return fail(f"FLEETLOG_REGISTRY_URL is {settings.registry_url!r}, {wrong}", 2)
    try:
        bound = listen(settings.host, settings.registry_port)
    except PortTaken as error:
        return fail(str(error), 2)
    configure("registry-front", settings.log_level)
    with bound:
        uvloop.run(_serve(options(settings, arguments.ready), bound))
    return 0


def _wrong_url(settings: Settings) -> str:
    """What is wrong with the address of an outside registry; empty if nothing is, or there is none."""
    try:
        named = urlsplit(settings.registry_url)
        port = named.port
    except ValueError as error:
        return f"which is no URL: {error}"
    if settings.registry_url and (named.scheme not in ("http", "https") or not named.hostname):
        return "which is no URL of a web server"
    if port == settings.registry_port and named.hostname in (settings.host, "localhost"):
        return "the front's own address: name the registry behind it"
    return ""


async def _serve(options: "FrontOptions", bound: object) -> None:
    import socket

    from connectors.http.server import Server, serve
    from connectors.registry_front.front import Front

    assert isinstance(bound, socket.socket)
    front = Front(options)
    try:
        await serve(Server(options, front.answer), bound, _nothing)
    finally:
        await front.close()


async def _nothing() -> None:
    """There is nothing to prepare."""


def options(settings: Settings, ready_url: str) -> "FrontOptions":
    """The front's options: before the local registry, or an outside one if the settings name it."""
    from connectors.registry_front.options import FrontOptions

    local = f"http://{settings.host}:{settings.registry_backend_port}{CONFLUENT_PATH}"
    url = (settings.registry_url or local).rstrip("/")
    native_url = url.removesuffix(CONFLUENT_PATH) + NATIVE_PATH if url.endswith(CONFLUENT_PATH) else ""
    return FrontOptions(url, native_url, ready_url, settings.request_deadline)
