"""`fleetlog trends show`: the windows of one series, drawn."""

import argparse

from infra.cli.command import Commands, add_command, fail, print_json
from infra.settings import Settings


def add(actions: Commands) -> None:
    show = add_command(
        actions,
        "show",
        "draw the newest windows of a device's metric, with the band that was expected and what the detector alarms at",
        "fleetlog trends show greenhouse-1 temperature --window 1h --svg temperature.svg",
        _show,
    )
    show.add_argument("device")
    show.add_argument("metric")
    show.add_argument("--window", choices=("1m", "1h", "1h/5m"), default="1m", help="of this kind (default: 1m)")
    show.add_argument("--most", type=int, default=100, metavar="N", help="so many (default: 100)")
    show.add_argument("--svg", metavar="FILE", help="into this file, not to the terminal")
    show.add_argument("--json", action="store_true", help="print the points as JSON")


def _show(options: argparse.Namespace, settings: Settings) -> int:
    from dataclasses import asdict
    from pathlib import Path

    from connectors.clickhouse_client import Gone
    from connectors.ports import Away
    from infra import trends_show

    try:
        series = trends_show.points(settings, options.device, options.metric, options.window, max(1, options.most))
    except ValueError as error:
        return fail(str(error), 2)
    except (Away, Gone) as error:
        return fail(str(error), 3)
    if not series:
        return fail(f"there are no windows {options.window} of {options.metric} of {options.device}", 1)
    if options.json:
        print_json([asdict(point) for point in series])
    elif options.svg:
        Path(options.svg).write_text(trends_show.svg(series, f"{options.device} {options.metric}"), "utf-8")
    else:
        print(trends_show.text(series))
    return 0
