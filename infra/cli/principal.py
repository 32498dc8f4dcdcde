"""`fleetlog principal`: who else has an API key of the ingress, and what it is good for."""

import argparse
from typing import TYPE_CHECKING, Any

from infra.cli.command import Commands, add_command, add_group, fail, print_json
from infra.settings import Settings

if TYPE_CHECKING:
    from connectors.ingress.access import Rights

RIGHTS = ("write", "read", "manage")
SUMMARY = "API keys of the ingress beside its own: whose each is, which topics it opens; a change counts a second later"


def add(commands: Commands) -> None:
    actions = add_group(commands, "principal", SUMMARY, "fleetlog principal list")
    example = "fleetlog principal add weather --write 'weather*' --no-devices"
    summary = "add a principal, and print its key, which is kept nowhere: only its SHA-256 is"
    made = add_command(actions, "add", summary, example, _run)
    made.add_argument("name", metavar="NAME", help="letters, digits and '._-'")
    for right, what in zip(RIGHTS, ("write records to", "read records of", "make, change and delete"), strict=True):
        help_text = f"topics that it may {what}: names, or patterns with *"
        made.add_argument(f"--{right}", metavar="TOPIC", nargs="+", action="extend", default=[], help=help_text)
    made.add_argument("--no-devices", action="store_true", help="it may not use the device API and the device topics")
    help_text = "user: it may claim devices, and has its own; admin: it has all devices and their certificates"
    made.add_argument("--fleet", choices=("user", "admin"), default="", help=help_text)
    summary = "the principals and their rights; the owner of the settings' own key first"
    listed = add_command(actions, "list", summary, "fleetlog principal list --json", _run)
    summary = "take a principal out: its key opens nothing any more"
    removed = add_command(actions, "remove", summary, "fleetlog principal remove weather", _run)
    removed.add_argument("name", metavar="NAME")
    for parser in (made, listed, removed):
        parser.add_argument("--json", action="store_true", help="print JSON")


def _run(options: argparse.Namespace, settings: Settings) -> int:
    from connectors.ingress.access import BadPrincipals
    from infra.principals import CannotChange

    actions = {"add": _add, "list": _list, "remove": _remove}
    try:
        return actions[options.action](options, settings)
    except (BadPrincipals, CannotChange) as error:
        return fail(str(error), 2)
    except OSError as error:
        return fail(f"{settings.principals_file} can't be written: {error}", 2)


def _add(options: argparse.Namespace, settings: Settings) -> int:
    from connectors.ingress.access import Rights
    from infra import principals

    write, read, manage = (tuple(getattr(options, right)) for right in RIGHTS)
    rights = Rights(write, read, manage, devices=not options.no_devices, fleet=options.fleet)
    key = principals.add(settings.principals_file, options.name, rights)
    if options.json:
        print_json({"name": options.name, "key": key} | _shown(rights))
    else:
        print(key)
    return 0


def _list(options: argparse.Namespace, settings: Settings) -> int:
    from connectors.ingress.access import OWNER, Rights
    from infra import principals

    write, read, manage = (settings.patterns(f"rest_{name}") for name in ("topics", "read", "manage"))
    owner = Rights(write, read, manage, fleet="admin")
    found = [(OWNER, owner), *((one.name, one.rights) for one in principals.read(settings.principals_file))]
    if options.json:
        print_json([{"name": name} | _shown(rights) for name, rights in found])
        return 0
    for name, rights in found:
        told = [f"{right} {' '.join(getattr(rights, right))}" for right in RIGHTS if getattr(rights, right)]
        own = [*(["devices"] if rights.devices else []), *([f"fleet {rights.fleet}"] if rights.fleet else [])]
        print(f"{name}: {'; '.join([*own, *told]) or 'nothing'}")
    return 0


def _remove(options: argparse.Namespace, settings: Settings) -> int:
    from infra import principals

    principals.remove(settings.principals_file, options.name)
    if options.json:
        print_json({"removed": options.name})
    return 0


def _shown(rights: "Rights") -> dict[str, Any]:
    return {right: list(getattr(rights, right)) for right in RIGHTS} | {"devices": rights.devices, "fleet": rights.fleet}
