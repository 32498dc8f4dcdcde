"""`fleetlog ledger`: what the certificate ledger holds, proofs of it, and whether all of it is so."""

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra.cli.command import Commands, add_command, add_group, fail, print_json
from infra.settings import Settings

if TYPE_CHECKING:
    from streams.ledger.verification import Replay

KEY_HELP = "the ledger's key, NAME+ID+BASE64 or a file of it (default: this machine's, data_dir/pki/ledger.pub)"


def add(commands: Commands) -> None:
    group = add_group(
        commands, "ledger", "The certificate ledger: show, prove, check, verify, audit.", "fleetlog ledger show"
    )
    show = add_command(
        group, "show", "Show the ledger's head and its newest entries.", "fleetlog ledger show --last 5", _show
    )
    show.add_argument("--last", type=int, default=10, metavar="N", help="how many entries (default 10, at most 256)")
    prove = add_command(
        group,
        "prove",
        "Print a certificate's entry with the proof that the ledger holds it, which `fleetlog ledger check` checks offline.",
        "fleetlog ledger prove 5e1f00c0ffee > proof.json",
        _prove,
    )
    prove.add_argument("serial", help="serial number, hexadecimal")
    check = add_command(
        group,
        "check",
        "Check a proof without the network. Exit code 1: it proves nothing, or not of this certificate.",
        "fleetlog ledger check proof.json --certificate device.pem",
        _check,
    )
    check.add_argument("file", type=Path, help="what prove has printed")
    check.add_argument("--certificate", type=Path, metavar="FILE", help="the certificate (PEM) that it is to be a proof of")
    verify, audit = _add_checks(group)
    for command in (show, prove, check, verify, audit):
        command.add_argument("--json", action="store_true", help="print JSON")
    for command in (show, check, verify, audit):
        command.add_argument("--key", metavar="KEY", help=KEY_HELP)


def _add_checks(group: Commands) -> tuple[argparse.ArgumentParser, argparse.ArgumentParser]:
    """The commands that read the whole log."""
    verify = add_command(
        group,
        "verify",
        "Replay the ledger from the log, compute its tree anew, and compare every signed head, the served checkpoint and a "
        "witness's with it. Exit code 1: something was forged, dropped, reordered or rolled back.",
        "fleetlog ledger verify --witness http://127.0.0.1:8087",
        _verify,
    )
    verify.add_argument("--witness", metavar="URL", help="a witness whose checkpoint is compared too")
    verify.add_argument("--log-only", action="store_true", help="do not ask the authority for its checkpoint")
    audit = add_command(
        group,
        "audit",
        "Find certificates that are not in the ledger, differ from it, are shared by two devices, revoked, expired, about "
        "to expire, or of a weak key. Without files: those that devices use by the log of registrations. Exit code 1: "
        "there are such.",
        "fleetlog ledger audit devices/ --days 7",
        _audit,
    )
    audit.add_argument("files", type=Path, nargs="*", metavar="FILE", help="certificates (PEM or DER), or folders of them")
    audit.add_argument("--days", type=float, default=7.0, help="what expires within so many days is told (default 7)")
    return verify, audit


def _show(options: argparse.Namespace, settings: Settings) -> int:
    import json

    from connectors.ledger_client import LedgerClient
    from connectors.ports import Away
    from infra.ledger_keys import trusted_key
    from schemas.transparency.notes import BadNote, Unsigned, opened
    from schemas.transparency.tiles import WIDTH, Tile, entries_of

    key = trusted_key(settings, options.key)
    client = LedgerClient(f"{settings.authority}/ledger")
    try:
        head = opened(client.checkpoint(), key)
        entries: list[tuple[int, dict[str, Any]]] = []
        for number in sorted({max(0, head.size - options.last) // WIDTH, max(0, head.size - 1) // WIDTH}):
            width = min(WIDTH, head.size - number * WIDTH)
            bundle = client.tile(Tile(None, number, width)) if width > 0 else b""
            entries.extend((number * WIDTH + place, json.loads(entry)) for place, entry in enumerate(entries_of(bundle)))
    except Away as away:
        return fail(str(away), 3)
    except (BadNote, Unsigned) as bad:
        return fail(f"the checkpoint: {bad}", 1)
    shown = entries[-options.last :] if options.last > 0 else []
    if options.json:
        told = [{"leaf_index": index, **entry} for index, entry in shown]
        print_json({"origin": head.origin, "tree_size": head.size, "root": head.root.hex(), "entries": told})
        return 0
    print(f"{head.origin}: {head.size:,} leaves, root {head.root.hex()}")
    for index, entry in shown:
        names = ("serial", "device_id", "purpose", "reason", "key_id", "revocation_id")
        print(f"{index:>8}  {entry['type']:<24}" + "  ".join(str(entry[name]) for name in names if entry.get(name)))
    return 0


def _prove(options: argparse.Namespace, settings: Settings) -> int:
    from connectors.ledger_client import LedgerClient
    from connectors.ports import Away

    if not options.serial.isalnum():
        return fail(f"{options.serial!r} is no serial number", 2)
    try:
        found = LedgerClient(f"{settings.authority}/ledger").entry(options.serial)
    except Away as away:
        return fail(str(away), 3)
    if found is None:
        return fail(f"the ledger shows no certificate {options.serial}", 1)
    print_json(found)
    return 0


def _check(options: argparse.Namespace, settings: Settings) -> int:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    from infra.ledger_keys import trusted_key
    from streams.ledger.proof import Unproven, check

    key = trusted_key(settings, options.key)
    try:
        shown = check(options.file.read_bytes(), key)
        given = x509.load_pem_x509_certificate(options.certificate.read_bytes()) if options.certificate else None
    except Unproven as unproven:
        return fail(f"{options.file} proves nothing: {unproven}", 1)
    except (OSError, ValueError) as error:
        return fail(str(error), 2)
    if given is not None and given.public_bytes(Encoding.DER) != shown.certificate:
        return fail(f"{options.file} is a proof of another certificate than {options.certificate}", 1)
    entry, revocation = shown.issued, shown.revocation
    if options.json:
        print_json({"tree_size": shown.tree_size, "issued": entry, "revocation": revocation})
        return 0
    print(f"certificate {entry['serial']} of {entry['device_id']} is in the ledger {key.name} of {shown.tree_size:,} leaves")
    if revocation is not None:
        print(f"it is revoked: {revocation['reason']}")
    return 0


def _verify(options: argparse.Namespace, settings: Settings) -> int:
    from connectors.ports import Away
    from infra.ledger_keys import trusted_key
    from infra.ledger_tools import verify

    key = trusted_key(settings, options.key)
    ledger = "" if options.log_only else f"{settings.authority}/ledger"
    try:
        found = verify(settings, key, ledger, options.witness)
    except Away as away:
        return fail(str(away), 3)
    if options.json:
        print_json(_verified(found))
    else:
        print(f"{key.name}: {found.state.tree.size:,} leaves under {found.heads:,} signed heads")
        for fault in found.faults:
            where = f"offset {fault.offset}: " if fault.offset >= 0 else ""
            print(f"{where}{fault.detail}", file=sys.stderr)
        print("it is as it was signed" if not found.faults else "it is NOT as it was signed")
    return 1 if found.faults else 0


def _verified(found: "Replay") -> dict[str, Any]:
    faults = [{"offset": fault.offset, "detail": fault.detail} for fault in found.faults]
    tree = found.state.tree
    return {
        "valid": not faults,
        "leaves": tree.size,
        "heads": found.heads,
        "certificates": len(found.state.certificates),
        "root": tree.root().hex(),
        "faults": faults,
    }


def _audit(options: argparse.Namespace, settings: Settings) -> int:
    from connectors.ports import Away
    from infra.ledger_keys import trusted_key
    from infra.ledger_tools import in_files, read_ledger, registered
    from streams.ledger.audit import audit

    key = trusted_key(settings, options.key)
    try:
        used = list(in_files(options.files)) if options.files else registered(settings)
        ledger = read_ledger(settings, key)
    except Away as away:
        return fail(str(away), 3)
    except (OSError, ValueError) as error:
        return fail(str(error), 2)
    if ledger.faults:
        return fail(f"the ledger does not hold: {ledger.faults[0].detail}; `fleetlog ledger verify` says more", 1)
    findings = audit(ledger.state, ledger.digests, used, time.time_ns() // 1000, options.days)
    if options.json:
        print_json({"certificates": len(used), "findings": [finding._asdict() for finding in findings]})
    else:
        for finding in findings:
            print(f"{finding.kind:<19}{finding.serial or '-':<34}{finding.source}: {finding.detail}")
        print(f"{len(used):,} certificates, {len(findings):,} findings")
    return 1 if findings else 0
