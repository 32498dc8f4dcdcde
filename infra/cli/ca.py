"""`fleetlog ca`: the fleet's certificate authority."""

import argparse
import sys
import time
from typing import TYPE_CHECKING, Any

from infra.cli.command import Commands, add_command, add_group, fail, print_json
from infra.settings import Settings

if TYPE_CHECKING:
    from cryptography import x509

    from infra.pki_files import Pki

SUMMARY = "the fleet's certificate authority: its certificates, what is to be trusted, and its roll-over"
AWAY = 3


def add(commands: Commands) -> None:
    actions = add_group(commands, "ca", SUMMARY, "fleetlog ca show")
    summary = "make what is missing (fleetlog up does it too): authorities, the listeners' certificate, the ledger's key"
    made = add_command(actions, "init", summary, "fleetlog ca init", _init)
    summary = "the authorities and the listeners' certificate: key ids, lives, where the keys are"
    shown = add_command(actions, "show", summary, "fleetlog ca show --json", _show)
    summary = "add an issuing authority: it signs once the ledger shows it; those before stay trusted until their end"
    rolled = add_command(actions, "roll", summary, "fleetlog ca roll", _roll)
    summary = "print the certificates to trust, PEM: the root, which devices need"
    trusted = add_command(actions, "trust", summary, "fleetlog ca trust > ca.pem", _trust)
    trusted.add_argument("--clients", action="store_true", help="with the issuing authorities: for whoever checks devices")
    summary = "how many certificates in use end within 1, 7, 30, 60 and 90 days, and which are next, by the ledger"
    told = add_command(actions, "forecast", summary, "fleetlog ca forecast --next 5", _forecast)
    told.add_argument("--next", type=int, default=10, metavar="N", help="name so many of each (default 10)")
    for parser in (made, shown, rolled, told):
        parser.add_argument("--json", action="store_true", help="print JSON")


def _init(options: argparse.Namespace, settings: Settings) -> int:
    from connectors.ports import Away
    from infra import pki

    try:
        made = pki.ensure(settings)
    except Away as error:
        return fail(str(error), AWAY)
    return _report(options, settings, made)


def _roll(options: argparse.Namespace, settings: Settings) -> int:
    from connectors.ports import Away
    from infra import pki

    try:
        pki.roll(settings)
    except Away as error:
        return fail(str(error), AWAY)
    return _report(options, settings, pki.at(settings))


def _show(options: argparse.Namespace, settings: Settings) -> int:
    from infra import pki

    if not pki.at(settings).trust.exists():
        return fail(f"there is no certificate authority in {settings.data}: fleetlog ca init", 1)
    return _report(options, settings, pki.at(settings))


def _trust(options: argparse.Namespace, settings: Settings) -> int:
    from infra import pki

    found = pki.at(settings)
    if not found.trust.exists():
        return fail(f"there is no certificate authority in {settings.data}: fleetlog ca init", 1)
    sys.stdout.write((found.clients if options.clients else found.trust).read_text("ascii"))
    return 0


def _forecast(options: argparse.Namespace, settings: Settings) -> int:
    from datetime import UTC, datetime

    from connectors.authority.forecast import Ending, forecast
    from connectors.ports import Away
    from infra.ledger_keys import own_key
    from infra.ledger_tools import read_ledger

    try:
        ledger = read_ledger(settings, own_key(settings))
    except Away as error:
        return fail(str(error), AWAY)
    if ledger.faults:
        return fail(f"the ledger does not hold: {ledger.faults[0].detail}; `fleetlog ledger verify` says more", 1)
    newest = {hardware_id: serials[-1] for hardware_id, serials in ledger.state.held.items() if serials}
    known = {serial: ledger.state.certificates.get(serial) for serial in newest.values()}
    endings = (Ending(serial, one.device_id, one.not_after) for serial, one in known.items() if one is not None)
    buckets = forecast(endings, time.time_ns() // 1000, options.next)
    if options.json:
        print_json([bucket._asdict() | {"next": [one._asdict() for one in bucket.next]} for bucket in buckets])
        return 0
    for bucket in buckets:
        within = "later" if bucket.within_days is None else f"{bucket.within_days} days" if bucket.within_days else "ended"
        print(f"{within:<9}{bucket.certificates:>10,}")
        for one in bucket.next:
            ends = datetime.fromtimestamp(one.not_after // 1_000_000, UTC)
            print(f"    {ends:%Y-%m-%d %H:%M}  {one.serial:<34}{one.device_id}")
    return 0


def _report(options: argparse.Namespace, settings: Settings, pki: "Pki") -> int:
    from cryptography import x509

    from connectors import private_files
    from infra.pki_making import ROOT, SERVERS

    newest = list(pki.issuing())[-1]
    certificates = {name: _described(pki.certificate(name)) for name in (ROOT, *pki.issuing(), SERVERS)}
    server = x509.load_pem_x509_certificates(private_files.read(pki.server))[0]
    certificates["listeners"] = _described(server)
    kept = f"token {settings.pkcs11_token}" if settings.pkcs11_module else str(pki.folder / "keys")
    if options.json:
        files = {"trust": pki.trust, "clients": pki.clients, "server": pki.server, "ledger_key": pki.ledger_public_key}
        print_json({"certificates": certificates, "signs": newest, "keys": kept, "files": files})
        return 0
    print(f"{'certificate':<14} {'key id':<42} {'until':<22} days left")
    for name, one in certificates.items():
        print(f"{name:<14} {one['key_id']:<42} {one['not_after']:<22} {one['days_left']:>9}")
    print(f"signs for devices: {newest} (once the ledger shows it); keys: {kept}; devices trust: {pki.trust}")
    return 0


def _described(certificate: "x509.Certificate") -> dict[str, Any]:
    from cryptography import x509

    identifier = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    first, last = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return {
        "subject": certificate.subject.rfc4514_string(),
        "key_id": identifier.hex(),
        "not_before": f"{first:%Y-%m-%dT%H:%M:%SZ}",
        "not_after": f"{last:%Y-%m-%dT%H:%M:%SZ}",
        "days_left": int((last.timestamp() - time.time()) // 86_400),
    }
