"""`fleetlog device`: the reference client of a device."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra.cli.command import Commands, add_command, add_group, fail, print_json
from infra.settings import Settings

if TYPE_CHECKING:
    from infra.device.device import Device, Places
    from infra.device.registration import Credential, Identity

SUMMARY = "the device's side: its key, its registration, its certificate, its heartbeats; a folder holds its state"
FIRMWARE = "1.0.0"


def add(commands: Commands) -> None:
    actions = add_group(commands, "device", SUMMARY, "fleetlog device register --claim-token TOKEN --hardware-id SN-1")
    plain = (
        ("fingerprint", "the hardware fingerprint of this machine, and which parts of it the machine does not tell"),
        ("status", "who the device is, and how long its certificate is good; asks nobody"),
        ("heartbeat", "send a heartbeat with this machine's figures; the first one activates the device"),
        ("config", "the configuration that the fleet has for the device"),
        ("token", "an access token, good for an hour"),
        ("fetch", "the newest certificate, if its answer was lost and with it what was noted of the request"),
    )
    for name, summary in plain:
        _common(add_command(actions, name, summary, f"fleetlog device {name} --json", _run))
    summary = "make the device's private key (PKCS#8, readable by its owner only)"
    made = _common(add_command(actions, "keygen", summary, "fleetlog device keygen --algorithm ed25519", _run))
    _algorithm(made)
    summary = "a certificate of a new key, which the present one vouches for"
    _algorithm(_common(add_command(actions, "rotate", summary, "fleetlog device rotate", _run)))
    summary = "a new certificate of the same key, from two thirds of the present one's life on; before that nothing is done"
    renewed = _common(add_command(actions, "renew", summary, "fleetlog device renew", _run))
    renewed.add_argument("--now", action="store_true", help="ask in any case; the server may say that it is early")
    _add_register(actions)


def _add_register(actions: Commands) -> None:
    summary = (
        "register this device: with a claim token, with a claim's id and PIN, or with a key that an administrator "
        "pre-registered. Cut off, it goes on where it was when it is run again"
    )
    command = _common(
        add_command(actions, "register", summary, "fleetlog device register --claim-token TOKEN --hardware-id SN-1", _run)
    )
    by = command.add_mutually_exclusive_group(required=True)
    by.add_argument("--claim-token", metavar="TOKEN", help="as a QR code holds it")
    by.add_argument("--claim-id", metavar="ID", help="of a claim whose PIN is given")
    by.add_argument("--pre-registered", action="store_true", help="an administrator made the key known")
    command.add_argument("--pin", metavar="PIN", help="the six digits of the claim")
    command.add_argument("--hardware-id", metavar="SN", required=True, help="the serial number")
    command.add_argument("--model", default="generic", help="default: generic")
    command.add_argument("--firmware", default=FIRMWARE, metavar="VERSION", help=f"default: {FIRMWARE}")
    command.add_argument("--server", metavar="URL", help="the registration listener (default: the local stack's)")
    command.add_argument("--data", metavar="URL", help="the data listener (default: the local stack's)")
    command.add_argument("--authority", metavar="URL", help="where the ledger is public (default: the local stack's)")
    command.add_argument("--ca", type=Path, metavar="FILE", help="roots to trust, PEM (default: the local stack's)")
    command.add_argument(
        "--ledger-key", metavar="KEY", help="NAME+ID+BASE64 (default: the local stack's; 'none': unchecked)"
    )
    command.add_argument("--server-key", action="store_true", help="let the server make the key of the certificate")
    command.add_argument("--signed", action="store_true", help="sign requests too, for where a proxy ends TLS")


def _common(command: argparse.ArgumentParser) -> argparse.ArgumentParser:
    command.add_argument("--dir", type=Path, metavar="DIR", help="the device's folder (default: data_dir/device)")
    command.add_argument("--tries", type=int, default=5, metavar="N", help="further tries when it fails (default 5)")
    command.add_argument("--json", action="store_true", help="print JSON")
    return command


def _algorithm(command: argparse.ArgumentParser) -> None:
    command.add_argument("--algorithm", choices=("p256", "ed25519", "rsa"), default="p256", help="default: p256")


def _run(options: argparse.Namespace, settings: Settings) -> int:
    from infra.device.calls import Backoff, Refused, Unreachable
    from infra.device.device import Device
    from infra.device.fingerprint import NoFingerprint
    from infra.device.keystore import Keystore, NothingKept
    from infra.device.registration import NotTrusted

    device = Device(Keystore(options.dir or settings.data / "device"), Backoff(tries=options.tries))
    try:
        told = ACTIONS[options.action](options, settings, device)
    except Refused as refused:
        return fail(str(refused), 3 if refused.later else 1)
    except Unreachable as unreachable:
        return fail(f"no answer: {unreachable}", 3)
    except NotTrusted as reason:
        return fail(f"what the server sent is not to be trusted, nothing of it was kept: {reason}", 1)
    except (NothingKept, NoFingerprint, FileExistsError) as error:
        return fail(str(error), 2)
    except OSError as error:
        return fail(f"{device.store.folder}: {error}", 2)
    if options.json:
        print_json(told)
    else:
        print("\n".join(f"{name}: {_shown(value)}" for name, value in told.items()))
    return 0


def _shown(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


Told = dict[str, Any]
Action = Callable[[argparse.Namespace, Settings, "Device"], Told]


def _fingerprint(options: argparse.Namespace, settings: Settings, device: "Device") -> Told:
    from infra.device import fingerprint

    found = fingerprint.read()
    return found.parts | {"missing": found.missing}


def _keygen(options: argparse.Namespace, settings: Settings, device: "Device") -> Told:
    from connectors import keys
    from infra.device.keystore import KEY, public_der
    from infra.device.registration import public_pem

    key = device.store.make_key(options.algorithm)
    digest = keys.key_hash(public_der(key)).hex()
    return {"key": str(device.store.path(KEY)), "public_key": public_pem(key), "sha256": digest}


def _register(options: argparse.Namespace, settings: Settings, device: "Device") -> Told:
    roots = options.ca or settings.data / "pki" / "ca.pem"
    device.register(_identity(options), _credential(options), _places(options, settings), roots, options.server_key)
    return device.status()


def _identity(options: argparse.Namespace) -> "Identity":
    from infra.device import fingerprint
    from infra.device.registration import Identity

    return Identity(options.hardware_id, fingerprint.read().parts, options.model, options.firmware)


def _credential(options: argparse.Namespace) -> "Credential":
    from infra.device.keystore import NothingKept
    from infra.device.registration import Pin, PreRegistered, Token

    if options.claim_token:
        return Token(options.claim_token)
    if options.pre_registered:
        return PreRegistered()
    if not options.pin:
        raise NothingKept("--claim-id needs --pin, the six digits that its owner was shown")
    return Pin(options.claim_id, options.pin)


def _places(options: argparse.Namespace, settings: Settings) -> "Places":
    from infra.device import local
    from infra.device.device import Places

    ledger_key = local.ledger_key(settings) if options.ledger_key is None else options.ledger_key
    return Places(
        server=options.server or f"https://{settings.host}:{settings.registration_port}",
        data=options.data or f"https://{settings.host}:{settings.data_port}",
        authority=options.authority or settings.authority,
        ledger_key="" if ledger_key == "none" else ledger_key,
        signed=options.signed,
    )


def _status(options: argparse.Namespace, settings: Settings, device: "Device") -> Told:
    return device.status()


def _heartbeat(options: argparse.Namespace, settings: Settings, device: "Device") -> Told:
    from infra.device import local

    return device.heartbeat(local.figures())


def _config(options: argparse.Namespace, settings: Settings, device: "Device") -> Told:
    return device.configuration()


def _token(options: argparse.Namespace, settings: Settings, device: "Device") -> Told:
    return device.token()


def _renew(options: argparse.Namespace, settings: Settings, device: "Device") -> Told:
    return {"renewed": device.renew(options.now)} | device.status()


def _fetch(options: argparse.Namespace, settings: Settings, device: "Device") -> Told:
    return {"fetched": device.fetch()} | device.status()


def _rotate(options: argparse.Namespace, settings: Settings, device: "Device") -> Told:
    device.rotate(options.algorithm)
    return device.status()


ACTIONS: dict[str, Action] = {
    "fingerprint": _fingerprint,
    "keygen": _keygen,
    "register": _register,
    "status": _status,
    "heartbeat": _heartbeat,
    "config": _config,
    "token": _token,
    "renew": _renew,
    "fetch": _fetch,
    "rotate": _rotate,
}
