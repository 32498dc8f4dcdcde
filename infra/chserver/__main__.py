"""`python -m infra.chserver --path DIR`: run the embedded ClickHouse server until SIGTERM or SIGINT."""

import argparse
import os
import sys
from pathlib import Path

from infra import logging as log_format
from infra.chserver.binding import BindingError
from infra.chserver.engine import Credentials, EngineUnavailable
from infra.chserver.server import AddressUnavailable, Options, serve
from infra.settings import Settings, load

_USAGE_ERROR, _CANNOT_START = 2, 3


def main(arguments: list[str] | None = None) -> int:
    """Serve; returns the exit code: 0 after a clean stop, 2 wrong usage, 3 it could not start."""
    try:
        settings = load()
        options = _parser(settings).parse_args(arguments)
        log_format.configure("clickhouse", settings.log_level)
    except ValueError as error:  # also SettingError; and a log level that does not exist
        return _say(str(error), _USAGE_ERROR)
    try:
        password = settings.clickhouse_password if options.password is None else options.password
        credentials = Credentials(options.user, password)
        serve(Options(options.path, options.host, options.tcp_port, options.http_port, credentials))
    except (AddressUnavailable, EngineUnavailable, BindingError) as error:
        return _say(str(error), _CANNOT_START)
    return 0


def _parser(settings: Settings) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m infra.chserver",
        description="ClickHouse's native and HTTP protocols on one embedded engine.",
        epilog="example:\n  python -m infra.chserver --path .fleetlog/clickhouse --tcp-port 9000 --http-port 8123\n\n"
        "exit codes: 0 stopped by SIGTERM or SIGINT, 2 wrong usage, 3 could not start (a port or the directory in use)",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--path", type=Path, required=True, help="data directory; made if it is missing")
    parser.add_argument("--host", default=settings.host, help="address to listen on (%(default)s)")
    parser.add_argument("--tcp-port", type=int, default=settings.clickhouse_port, help="native protocol (%(default)s)")
    parser.add_argument("--http-port", type=int, default=settings.clickhouse_http_port, help="HTTP (%(default)s)")
    parser.add_argument("--user", default=settings.clickhouse_user, help="the one user's name (%(default)s)")
    parser.add_argument("--password", help="default: FLEETLOG_CLICKHOUSE_PASSWORD, which other users cannot see")
    return parser


def _say(message: str, code: int) -> int:
    print(f"chserver: {message}", file=sys.stderr)
    return code


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # Threads of clients may be inside the engine; taking the interpreter down under them would crash. What was
    # acknowledged is stored, so nothing is lost by leaving at once.
    os._exit(code)
