"""The ingress's listeners over TLS, and what is behind their gates, from settings."""

import socket
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from connectors.cluster import Cluster
from connectors.http.listener import Listener
from connectors.http.peer import DATA, REGISTRATION
from connectors.http.server import listen
from connectors.http.tls import VERSIONS, BadTls, ServerTls, TlsFiles
from connectors.ingress.guard_options import GuardOptions, Guards, quotas
from connectors.ingress.ingress import Ingress
from connectors.ingress.presented import proxies
from connectors.redis_guards import RedisGuards
from connectors.signing_keys import BadKeys, SigningKeys
from connectors.view_reader import RedisViewReader
from infra import pki
from infra.certificate_records import ViewRecords
from infra.settings import SettingError, Settings

KEYS_FILE = "signing-keys.json"
LIMITS = ("registrations", "heartbeats", "uploads", "addresses")


def bind(settings: Settings, opened: ExitStack) -> dict[str, socket.socket]:
    """The sockets of the TLS listeners, by name; those whose port is 0 are left out. `opened` closes them.

    Raises:
        PortTaken: an address can't be listened on.
    """
    wanted = {REGISTRATION: settings.registration_port, DATA: settings.data_port}
    return {name: opened.enter_context(listen(settings.host, port)) for name, port in wanted.items() if port}


def secure(settings: Settings, names: Mapping[str, object]) -> dict[str, ServerTls]:
    """The TLS of the listeners of these names. The fleet's own certificates are made where there are none.

    Raises:
        SettingError: the files can't be used.
    """
    if not names:
        return {}
    if settings.tls_minimum not in VERSIONS:
        raise SettingError(f"FLEETLOG_TLS_MINIMUM is {settings.tls_minimum!r}: it may be {' or '.join(VERSIONS)}")
    own = None if settings.tls_certificate and settings.tls_trust else pki.for_listeners(settings)
    certificate = Path(settings.tls_certificate or (own.server if own else ""))
    key = Path(settings.tls_key or certificate)
    trust = Path(settings.tls_trust or (own.clients if own else ""))
    try:
        return {
            name: ServerTls(TlsFiles(certificate, key, trust if name == DATA else None, settings.tls_minimum))
            for name in names
        }
    except BadTls as error:
        raise SettingError(str(error)) from None


def listeners(
    settings: Settings, ingress: Ingress, bound: Mapping[str, socket.socket], tls: Mapping[str, ServerTls]
) -> list[Listener]:
    return [
        Listener(
            opened,
            ingress.applications[name].answer,
            tls[name],
            ingress.entrances.handshake_failed(name),
            settings.tls_handshake_seconds,
        )
        for name, opened in bound.items()
    ]


def guard_options(settings: Settings) -> GuardOptions:
    """
    Raises:
        SettingError: a limit or address is none.
    """
    limits = {name: getattr(settings, f"limit_{name}") for name in LIMITS}
    for name, limit in limits.items():
        if limit < 0:
            raise SettingError(f"FLEETLOG_LIMIT_{name.upper()} is {limit}: it is a number of requests, 0 for no limit")
    if settings.token_seconds <= 0:
        raise SettingError(f"FLEETLOG_TOKEN_SECONDS is {settings.token_seconds}, which is not more than 0")
    try:
        trusted = proxies(settings.trusted_proxy)
    except ValueError as error:
        raise SettingError(f"FLEETLOG_TRUSTED_PROXY: {error}") from None
    of_tls = quotas(**limits)
    return GuardOptions(
        proxies=trusted,
        quotas=of_tls,
        plain_quotas=of_tls if settings.limit_plain else {},
        token_seconds=settings.token_seconds,
        grace=settings.certificate_grace,
    )


class OpenGuards:
    """What is behind the gates, to be closed in the end. To be made on the event loop that uses it.

    Raises:
        SettingError: the signing keys can't be read.
    """

    def __init__(self, settings: Settings, cluster: Cluster) -> None:
        try:
            keys = SigningKeys(settings.data / KEYS_FILE, settings.signing_key_days)
        except BadKeys as error:
            raise SettingError(str(error)) from None
        self._counting, self.views = RedisGuards(settings.redis), RedisViewReader(settings.redis)
        self.ports = Guards(self._counting, self._counting, ViewRecords(self.views, cluster), keys)

    async def close(self) -> None:
        await self._counting.close()
        await self.views.close()
