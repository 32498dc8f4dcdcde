"""`fleetlog attest`: signed statements of what views hold (`fleetlog projection attest` makes them)."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from infra.cli.command import Commands, add_command, add_group, fail, print_json
from infra.settings import Settings

if TYPE_CHECKING:
    from projections.attestation import Attestation

KEY_HELP = "the key that must have signed it, NAME+ID+BASE64 or a file of it (default: this machine's, data_dir/attest.pub)"


def add(commands: Commands) -> None:
    group = add_group(
        commands,
        "attest",
        "check a signed statement of what a view holds",
        "fleetlog attest verify device_state.attestation",
    )
    verify = add_command(
        group,
        "verify",
        "Check the signature of an attestation, without the network. Exit code 1: it was edited (the lines are named), or "
        "another key signed it.",
        "fleetlog attest verify device_state.attestation --key fleet.pub",
        _verify,
    )
    check = add_command(
        group,
        "check",
        "Check the signature, then fold the log up to the attested positions and compare the roots; and those of the live "
        "view, where it stands there. Exit code 1: something differs.",
        "fleetlog attest check device_state.attestation",
        _check,
    )
    for command in (verify, check):
        command.add_argument("file", type=Path, help="what `fleetlog projection attest` has written")
        command.add_argument("--key", metavar="KEY", help=KEY_HELP)
        command.add_argument("--json", action="store_true", help="print JSON")


def add_making(actions: Commands) -> None:
    """Add `attest` to the actions of `fleetlog projection`."""
    command = add_command(
        actions,
        "attest",
        "write a signed statement of what a view holds: its roots, positions, schema ids, and what made it",
        "fleetlog projection attest device_state --out device_state.attestation",
        _attest,
    )
    command.add_argument("name", help="name of the view")
    command.add_argument("--out", type=Path, metavar="FILE", help="write it to FILE (default: standard output)")


def _attest(options: argparse.Namespace, settings: Settings) -> int:
    from connectors.ports import Away
    from infra import proof
    from projections.catalogue import UnknownView, find

    try:
        note = proof.attest(settings, find(options.name))
    except UnknownView as error:
        return fail(str(error), 2)
    except Away as away:
        return fail(str(away), 3)
    except (proof.Unproven, ValueError) as error:
        return fail(str(error), 1)
    if options.out is None:
        print(note, end="")
        return 0
    try:
        options.out.write_text(note, "utf-8")
    except OSError as error:
        return fail(f"--out: {error}", 2)
    return 0


def _opened(options: argparse.Namespace, settings: Settings) -> "Attestation | int":
    """The attestation, or the exit code when it is none that can be trusted."""
    from infra.attest_keys import trusted_key
    from projections.attestation import Edited, opened
    from schemas.transparency.notes import BadNote, Unsigned

    try:
        whole = options.file.read_text("utf-8")
    except OSError as error:
        return fail(str(error), 2)
    except UnicodeDecodeError:
        return fail(f"{options.file}: not an attestation: no text", 1)
    try:
        return opened(whole, trusted_key(settings, options.key))
    except BadNote as bad:
        return fail(f"{options.file}: not an attestation: {bad}", 1)
    except (Edited, Unsigned) as error:
        return fail(f"{options.file}: {error}", 1)


def _verify(options: argparse.Namespace, settings: Settings) -> int:
    found = _opened(options, settings)
    if isinstance(found, int):
        return found
    if options.json:
        print_json(_told(found))
    else:
        print(f"{found.view}, version {found.version}, at {found.time}: signed, root {found.root.hex()}")
    return 0


def _check(options: argparse.Namespace, settings: Settings) -> int:
    from connectors.ports import Away
    from infra import proof
    from projections.catalogue import UnknownView

    found = _opened(options, settings)
    if isinstance(found, int):
        return found
    try:
        problems = proof.check(settings, found)
    except UnknownView as error:
        return fail(str(error), 2)
    except Away as away:
        return fail(str(away), 3)
    except ValueError as error:
        return fail(str(error), 1)
    if options.json:
        print_json({**_told(found), "problems": problems})
    else:
        print("\n".join(problems) or f"{found.view}, version {found.version}, at {found.time}: what the log implies")
    return 1 if problems else 0


def _told(found: "Attestation") -> dict[str, object]:
    return {
        "view": found.view,
        "version": found.version,
        "revision": found.revision,
        "code": found.code,
        "time": found.time,
        "corrections": found.corrections,
        "root": found.root.hex(),
        "partitions": {name: root.hex() for name, root in found.partitions.items()},
        "positions": {str(source): position for source, position in found.positions.items()},
        "schemas": {topic: list(ids) for topic, ids in found.schemas.items()},
    }
