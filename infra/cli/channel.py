"""`fleetlog channel`: where people are told of alerts."""

import argparse
from typing import TYPE_CHECKING
from uuid import uuid4

from infra.cli.command import Commands, add_command, add_group, fail, print_json
from infra.settings import SettingError, Settings, variable

if TYPE_CHECKING:
    from connectors.notify.channel import Notice
    from connectors.notify.configuration import Channels


def add(commands: Commands) -> None:
    group = add_group(
        commands, "channel", "The channels on which people are told of alerts.", "fleetlog channel test ops-mail"
    )
    listing = add_command(
        group,
        "list",
        "The channels of FLEETLOG_CHANNELS, and whether the file can be used. Exit code 2: it can't, or a secret that it "
        "names is not there.",
        "fleetlog channel list --json",
        _list,
    )
    testing = add_command(
        group,
        "test",
        "Send a notification that says it is a test, once and now. Nothing is written to the log. Exit code 3: it was not "
        "taken.",
        "fleetlog channel test ops-mail",
        _test,
    )
    testing.add_argument("name", metavar="NAME", help="the channel")
    for command in (listing, testing):
        command.add_argument("--json", action="store_true", help="print JSON")


def _channels(settings: Settings) -> "Channels":
    from connectors.notify.configuration import BadChannels, load

    try:
        return load(settings.channels_file, variable)
    except BadChannels as error:
        raise SettingError(str(error)) from None


def _list(arguments: argparse.Namespace, settings: Settings) -> int:
    found = _channels(settings)
    rows = [
        {
            "name": name,
            "kind": one.channel.kind,
            "default": name in found.default,
            "resolved": one.channel.tells_resolved,
            "in_doubt": "send" if one.channel.knows_repeats else "keep",
            "attempts": one.patience.attempts,
            "seconds": one.patience.seconds,
        }
        for name, one in found.named.items()
    ]
    if arguments.json:
        print_json(rows)
        return 0
    if not rows:
        print(f"no channels: {settings.channels_file} names none")
    for row in rows:
        print(f"{row['name']}  {row['kind']}{'  default' if row['default'] else ''}")
    return 0


def _test(arguments: argparse.Namespace, settings: Settings) -> int:
    from connectors.notify.channel import Undelivered

    found = _channels(settings).named
    if arguments.name not in found:
        return fail(f"there is no channel {arguments.name!r}; there are: {', '.join(found) or 'none'}", 2)
    one, wrong, said = found[arguments.name], "", ""
    try:
        said = one.channel.deliver(_notice(), one.patience.seconds)
    except Undelivered as error:
        wrong = f"{error.why}: {error.detail}"
    if arguments.json:
        print_json({"name": arguments.name, "taken": not wrong, "answer": said, "fault": wrong})
    elif not wrong:
        print(f"{arguments.name} has taken it: {said}")
    if wrong:
        return fail(f"channel {arguments.name}: {wrong}", 3)
    return 0


def _notice() -> "Notice":
    import time

    from connectors.notify.channel import Notice
    from schemas.moments import text

    now, identity = text(time.time_ns() // 1000), str(uuid4())
    alert = {
        "alert_id": identity,
        "transition": identity,
        "event": "test",
        "status": "resolved",
        "rule_id": "channel-test",
        "rule_version": 0,
        "severity": "info",
        "device_id": None,
        "home_key": "fleet/channel-test/",
        "group": {},
        "labels": {},
        "annotations": {"summary": "This is a test of the channel. There is nothing to do."},
        "value": None,
        "level": 0,
        "since": now,
        "at": now,
        "actor": "operator",
        "comment": None,
    }
    content = {"status": "resolved", "reason": "test", "group_key": "channel-test {}", "at": now, "alerts": [alert]}
    return Notice(identity, content)
