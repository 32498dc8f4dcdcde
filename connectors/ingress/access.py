"""Who may do what: principals, their keys, and the topics that each may write, read and manage.

Denied is what nothing allows. The device topics are open to whoever may use the device API; every other topic only to those
whose patterns name it; the cluster's and the registry's own topics to nobody.
"""

import fnmatch
import hashlib
import hmac
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from connectors.http.request import Fault, Request
from schemas.contract import Contract

OWNER = "owner"
"""The principal of the settings' own API key."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
PATTERN = re.compile(r"[A-Za-z0-9._*-]{1,249}")
NOBODYS = ("_*", "kafkasql-*", "registry-events")
"""Patterns of topics that no principal may write, read or manage: Kafka's and the registry's."""
ABOUT_DEVICES = ("fleet.registration.events", "fleet.certificates")
"""Topics that nobody but fleetlog writes, of which who has all devices is told what views make of them."""
_DIGEST = re.compile(r"[0-9a-f]{64}")
_RIGHTS = ("write", "read", "manage")
FLEET_RIGHTS = ("", "user", "admin")


class BadPrincipals(ValueError):
    """A file of principals is not what it must be; the message names the place."""


@dataclass(frozen=True, slots=True)
class Rights:
    """Patterns of topics: `write` records, `read` them by position, `manage` (create, delete, change settings).
    `devices`: may use the device API, and write and read the device topics. `fleet`: "user" may claim devices and has those
    that are its own, "admin" has all of them, their certificates and pre-registrations; "" has none."""

    write: tuple[str, ...] = ()
    read: tuple[str, ...] = ()
    manage: tuple[str, ...] = ()
    devices: bool = True
    fleet: str = ""


@dataclass(frozen=True, slots=True)
class Principal:
    """`key_digest` is the SHA-256 of its API key, in hex."""

    name: str
    key_digest: str
    rights: Rights


def principals(text: str) -> dict[str, Principal]:
    """The principals of a file, by the digest of their key:

        [principals.weather]
        key_sha256 = "…"
        write = ["weather*"]

    Raises:
        BadPrincipals: what is wrong, and where.
    """
    try:
        declared = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadPrincipals(f"is not TOML: {error}") from None
    tables = declared.pop("principals", {})
    if declared or not isinstance(tables, dict):
        raise BadPrincipals(f"holds {', '.join(declared) or 'no table'} beside [principals.NAME]")
    found: dict[str, Principal] = {}
    for name, table in tables.items():
        principal = _principal(name, table)
        other = found.setdefault(principal.key_digest, principal)
        if other is not principal:
            raise BadPrincipals(f"principals.{name}: has the same key as {other.name}")
    return found


def _principal(name: str, table: Any) -> Principal:
    place = f"principals.{name}"
    if not NAME.fullmatch(name) or name == OWNER:
        raise BadPrincipals(f"{place}: a name is {NAME.pattern}, and not {OWNER}")
    if not isinstance(table, dict):
        raise BadPrincipals(f"{place}: is no table")
    unknown = table.keys() - {"key_sha256", "devices", "fleet", *_RIGHTS}
    if unknown:
        raise BadPrincipals(f"{place}: there is no {', '.join(sorted(unknown))}")
    digest, devices = table.get("key_sha256"), table.get("devices", True)
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        raise BadPrincipals(f"{place}.key_sha256: is no SHA-256 in lower-case hex")
    if not isinstance(devices, bool):
        raise BadPrincipals(f"{place}.devices: is neither true nor false")
    fleet = table.get("fleet", "")
    if fleet not in FLEET_RIGHTS:
        raise BadPrincipals(f"{place}.fleet: is neither user nor admin")
    patterns = {right: _patterns(f"{place}.{right}", table.get(right, [])) for right in _RIGHTS}
    return Principal(name, digest, Rights(**patterns, devices=devices, fleet=fleet))


def _patterns(place: str, given: Any) -> tuple[str, ...]:
    if not isinstance(given, list):
        raise BadPrincipals(f"{place}: is no list of topics")
    for pattern in given:
        if not isinstance(pattern, str) or not PATTERN.fullmatch(pattern):
            raise BadPrincipals(f"{place}: {pattern!r} matches no topic: letters, digits, '._-' and * only")
    return tuple(given)


class Access:
    """Decides. `others` gives the principals beside the owner, by the digest of their key, as they are now."""

    def __init__(
        self, api_key: str, owner: Rights, contract: Contract, others: Callable[[], Mapping[str, Principal]] = dict
    ) -> None:
        self._key, self._contract, self._others = api_key.encode(), contract, others
        self._owner = Principal(OWNER, hashlib.sha256(self._key).hexdigest(), owner)

    def caller(self, request: Request) -> str:
        """The digest of the key that a request has.

        Raises:
            Fault: 401 it has none, or one that is nobody's.
        """
        given = request.authorization
        if given is not None:
            if hmac.compare_digest(given, self._key):
                return self._owner.key_digest
            digest = hashlib.sha256(given).hexdigest()
            if digest in self._others():
                return digest
        detail = "an API key is needed: X-API-Key, or Authorization: Bearer"
        headers = [(b"www-authenticate", b'Bearer realm="fleetlog"')]
        raise Fault(401, "UNAUTHORIZED", detail, [("header X-API-Key", "is missing or wrong")], headers=headers)

    def name(self, caller: str) -> str:
        """The name of a caller's principal; empty of one that was removed meanwhile."""
        principal = self._principal(caller)
        return principal.name if principal else ""

    def check_devices(self, caller: str) -> None:
        """Raises Fault 403: the caller may not use the device API."""
        if not self._rights(caller).devices:
            raise Fault(403, "FORBIDDEN", f"{self.name(caller)} may not upload for devices")

    def fleet(self, caller: str) -> str:
        """The caller's right to the fleet's devices: "", "user" or "admin"."""
        return self._rights(caller).fleet

    def may_write(self, caller: str, topic: str) -> bool:
        declared = self._contract.topics.get(topic)
        if declared is not None:
            return declared.access == "device" and self._rights(caller).devices
        return _matches(topic, self._rights(caller).write)

    def may_read(self, caller: str, topic: str) -> bool:
        """Also the fleet's own topics that nobody may write, where a pattern names them."""
        return self.may_write(caller, topic) or _matches(topic, self._rights(caller).read)

    def may_ask(self, caller: str, topics: Iterable[str]) -> bool:
        """Whether views that are made of these topics are open to the caller: if it may read all of them. Who has all
        devices has all that is said of devices, of their registration and of their certificates."""
        own = self._rights(caller).fleet == "admin"
        return all(self.may_read(caller, topic) or (own and self._of_devices(topic)) for topic in topics)

    def _of_devices(self, topic: str) -> bool:
        declared = self._contract.topics.get(topic)
        return topic in ABOUT_DEVICES or (declared is not None and declared.access == "device")

    def may_manage(self, caller: str, topic: str) -> bool:
        """Never the fleet's own topics: the contract decides on those."""
        return topic not in self._contract.topics and _matches(topic, self._rights(caller).manage)

    def may_see(self, caller: str, topic: str) -> bool:
        """Whether it is listed and described."""
        return self.may_read(caller, topic) or self.may_manage(caller, topic)

    def _principal(self, caller: str) -> Principal | None:
        return self._owner if caller == self._owner.key_digest else self._others().get(caller)

    def _rights(self, caller: str) -> Rights:
        principal = self._principal(caller)
        return principal.rights if principal else Rights(devices=False)


def _matches(topic: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatchcase(topic, pattern) for pattern in patterns) and not any(
        fnmatch.fnmatchcase(topic, pattern) for pattern in NOBODYS
    )
