"""What the gates of the ingress's listeners are told from outside, and the ports behind them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from connectors.guards import CertificateRecords, NonceStore, Quota, RateLimiter
from connectors.ingress.presented import Proxies
from connectors.memory_guards import MemoryGuards
from connectors.signing_keys import Signer, SigningKeys

BY_ADDRESS = "address"


def quotas(registrations: int, heartbeats: int, uploads: int, addresses: int) -> Mapping[str, Quota]:
    """Limits an hour (third source document, 6.1), by the name that routes give; 0: none. `addresses`: of a network address
    from which somebody begins to register who is not known yet; without a limit of registrations there is none of these."""
    limits = {
        "registration": registrations,
        "heartbeat": heartbeats,
        "data": uploads,
        BY_ADDRESS: addresses * bool(registrations),
    }
    return {name: Quota(name, requests, 3600) for name, requests in limits.items() if requests}


@dataclass(frozen=True, slots=True)
class Guards:
    """The ports behind the gates."""

    limiter: RateLimiter
    nonces: NonceStore
    certificates: CertificateRecords
    signer: Signer


def in_memory() -> Guards:
    """For one process, as long as it lives."""
    memory = MemoryGuards()
    return Guards(memory, memory, memory, SigningKeys())


@dataclass(frozen=True, slots=True)
class GuardOptions:
    """What the gates are told from outside.

    Attributes:
        proxies: the addresses from which a forwarded certificate is believed.
        quotas: rate limits of the TLS listeners and of devices, by name; `plain_quotas`: of callers on the plain listener.
        token_seconds: life of an access token.
        issuer: who gives it.
        grace: seconds for which the last word on a certificate counts while the ledger's view is away.
    """

    proxies: Proxies = field(default_factory=Proxies)
    quotas: Mapping[str, Quota] = field(default_factory=lambda: quotas(10, 120, 1000, 1000))
    plain_quotas: Mapping[str, Quota] = field(default_factory=dict)
    token_seconds: int = 3600
    issuer: str = "fleetlog"
    grace: float = 30.0
