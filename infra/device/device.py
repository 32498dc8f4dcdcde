"""One device with its folder: what `fleetlog device` does, and what a program on a device would."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode
from uuid import uuid4

from cryptography import x509

from connectors import keys
from infra.device import configuration, session, verification
from infra.device.calls import Answer, Backoff, Call, Flow, Refused, perform
from infra.device.keystore import (
    ABOUT,
    CERTIFICATE,
    CHAIN,
    KEY,
    NEXT_KEY,
    PROGRESS,
    Keystore,
    NothingKept,
    private_pem,
    public_der,
)
from infra.device.link import Link, Signer, roots_of, tls
from infra.device.progress import OnDisk
from infra.device.registration import Bundle, Credential, Identity, NotTrusted, Registration
from infra.device.verification import Trust

T = TypeVar("T")
ROOTS = "roots.pem"
NOT_FOUND = 404
SHOWN_SECONDS = (0.1, 0.3, 1.0, 3.0)  # between looks whether the ledger shows a certificate


@dataclass(frozen=True)
class Places:
    """Where the fleet is, and what the device was given to trust.

    server, data: the registration and the data listener; authority: where the ledger is public. Base URLs; `server` may be
    plain HTTP where a proxy on the same machine takes it.
    ledger_key: NAME+ID+BASE64, or empty: the ledger is not checked.
    signed: requests are signed too, for where a proxy ends TLS.
    """

    server: str
    data: str
    authority: str
    ledger_key: str = ""
    signed: bool = False


@dataclass(frozen=True)
class Device:
    """A device's folder and how it waits. Methods raise calls.Refused, calls.Unreachable, registration.NotTrusted,
    keystore.NothingKept, OSError."""

    store: Keystore
    backoff: Backoff = field(default_factory=Backoff)

    def register(self, who: Identity, credential: Credential, places: Places, roots: Path, server_key: bool = False) -> None:
        """The whole registration. A key is made if there is none; with `server_key` the server makes another, which takes
        its place."""
        self.store.write(ROOTS, roots.read_bytes())
        key = self.store.key() if self.store.has(KEY) else self.store.make_key()
        registration = Registration(who, key, credential, OnDisk(self.store), server_key)
        with Link(places.server, tls(roots) if places.server.startswith("https:") else None) as link:
            bundle = perform(registration.flow(), link.send, self.backoff)
        if bundle.sealed_key is not None:
            key = verification.opened_key(bundle, key, roots_of(self.store.path(ROOTS)), datetime.now(UTC))
            self.store.write(NEXT_KEY, private_pem(key))
        self._keep(bundle, public_der(key), {"hardware_id": who.hardware_id, "places": asdict(places)})

    def _keep(self, bundle: Bundle, public_key: bytes, about: dict[str, Any]) -> None:
        """Check what came, keep it; only then is the progress forgotten."""
        places = Places(**about["places"])
        trust = Trust(roots_of(self.store.path(ROOTS)), places.ledger_key, _entry_reader(places.authority))
        verification.check(bundle, public_key, trust)
        known = {"device_id": bundle.device_id, "serial": bundle.serial, "ledger": bundle.ledger}
        said = {"endpoints": bundle.endpoints, "config": bundle.config}
        self.store.note(ABOUT, about | known | {name: value for name, value in said.items() if value})
        self.store.write(CHAIN, bundle.chain.encode())
        self.store.write(CERTIFICATE, bundle.certificate.encode())
        self._take_next_key()
        self.store.remove(PROGRESS)

    def _take_next_key(self) -> None:
        """If the certificate is the next key's, that key is the device's: a rotation may have been cut off just here."""
        with suppress(NothingKept):
            certified = keys.der(keys.checked(self.certificate().public_key()))
            if certified == public_der(self.store.key(NEXT_KEY)):
                self.store.path(NEXT_KEY).replace(self.store.path(KEY))

    # --- what is kept

    def about(self) -> dict[str, Any]:
        return self.store.noted(ABOUT)

    def certificate(self) -> x509.Certificate:
        """
        Raises:
            NothingKept: there is none.
        """
        try:
            return x509.load_pem_x509_certificate(self.store.read(CERTIFICATE))
        except ValueError as error:
            raise NothingKept(f"{self.store.path(CERTIFICATE)} holds no certificate: {error}") from None

    def status(self) -> dict[str, Any]:
        """What the folder says, without asking anybody."""
        pending = OnDisk(self.store).load().get("what")
        said: dict[str, Any] = {"folder": str(self.store.folder), "key": self.store.has(KEY), "registered": False}
        if pending is not None:
            said["under_way"] = pending
        if not (self.store.has(CERTIFICATE) and self.store.has(ABOUT)):
            return said
        about, certificate, now = self.about(), self.certificate(), datetime.now(UTC)
        expires, due = certificate.not_valid_after_utc, verification.renewal_due(certificate)
        return said | {
            "registered": True,
            "hardware_id": about["hardware_id"],
            "device_id": about["device_id"],
            "serial": about["serial"],
            "key_algorithm": keys.algorithm(keys.checked(certificate.public_key())),
            "not_after": expires.isoformat(),
            "renewal_due": due.isoformat(),
            "days_left": round((expires - now).total_seconds() / 86_400, 1),
            "due": now >= due,
            "leaf_index": about["ledger"].get("leaf_index"),
        }

    # --- over mTLS

    def heartbeat(self, figures: dict[str, Any]) -> dict[str, Any]:
        """Tell that the device lives; `figures` as a heartbeat holds them. The first one activates the device."""
        fields = {"boot_id": str(uuid4()), "sequence": 0, "occurred_at": int(datetime.now(UTC).timestamp() * 1_000_000)}
        return self._over_mtls(lambda device: session.heartbeat(device, fields | figures))

    def configuration(self) -> dict[str, Any]:
        """device_id, version, config: as the server has signed it for this device; it is kept."""
        device_id = self.about()["device_id"]
        wanted, keys_call = session.configuration(device_id), session.published_keys()
        answers: dict[Call, Answer] = {}
        with self._link() as link:

            def send(call: Call) -> Answer:
                answers[call] = link.send(call)
                return answers[call]

            for call in (wanted, keys_call):
                perform(session.asked(call), send, self.backoff)
        said = configuration.checked(answers[wanted], answers[keys_call], device_id)
        self.store.note(ABOUT, self.about() | {"config": said["config"]})
        return said

    def token(self) -> dict[str, Any]:
        return self._over_mtls(session.access_token)

    def renew(self, at_once: bool = False) -> bool:
        """A new certificate if it is due; False if it isn't. `at_once` asks in any case: the server may call it early."""
        self._take_next_key()
        if not at_once and not self.status().get("due"):
            self.about()  # raises where there is nothing to renew
            return False
        about, key = self.about(), self.store.key()
        progress = OnDisk(self.store)
        bundle = self._over_mtls(lambda device: session.renewal(device, key, about["serial"], progress))
        self._keep(bundle, public_der(key), about)
        return True

    def rotate(self, algorithm: str = "p256") -> None:
        """A new key, vouched for by the present one, and a certificate of it."""
        self._take_next_key()
        about, key = self.about(), self.store.key()
        new = self.store.key(NEXT_KEY) if self.store.has(NEXT_KEY) else self.store.make_key(algorithm, NEXT_KEY)
        progress = OnDisk(self.store)
        bundle = self._over_mtls(lambda device: session.rotation(device, key, new, about["serial"], progress))
        self._keep(bundle, public_der(new), about)

    def fetch(self) -> bool:
        """The newest certificate, if this device has not got it: its answer was lost, and what was noted of the request
        too. False if it is the one that is kept."""
        self._take_next_key()
        about = self.about()
        bundle = self._over_mtls(session.newest)
        if bundle.serial == about["serial"]:
            return False
        certified = keys.der(keys.checked(x509.load_pem_x509_certificate(bundle.certificate.encode()).public_key()))
        for name in (KEY, NEXT_KEY):
            if self.store.has(name) and public_der(self.store.key(name)) == certified:
                self._keep(bundle, certified, about)
                return True
        raise NotTrusted(f"certificate {bundle.serial} is of a key that this device does not have")

    def _over_mtls(self, flow: Callable[[str], Flow[T]]) -> T:
        with self._link() as link:
            return perform(flow(self.about()["device_id"]), link.send, self.backoff)

    def _link(self) -> Link:
        """To the data listener, with the device's certificate."""
        self._take_next_key()
        places = Places(**self.about()["places"])
        signer = Signer(self.store.key()) if places.signed else None
        return Link(places.data, tls(self.store.path(ROOTS), self.store), signer=signer)


def _entry_reader(authority: str) -> Callable[[str], bytes]:
    """Reads a certificate's entry in the public ledger, which may show it a moment after the device has it."""

    def read(serial: str) -> bytes:
        call = Call("GET", f"/ledger/entry?{urlencode({'serial': serial})}")
        with Link(authority, None) as link:
            for seconds in SHOWN_SECONDS:
                try:
                    return str(perform(session.asked(call), link.send, Backoff())["issued"]["entry"]).encode()
                except Refused as refused:
                    if refused.status != NOT_FOUND:
                        raise
                time.sleep(seconds)
        raise NotTrusted(f"the ledger shows no certificate {serial}")

    return read
