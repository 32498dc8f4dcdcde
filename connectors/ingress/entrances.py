"""The ingress's listeners: what each lets through, and what is counted of it."""

import logging
import time
from collections.abc import Callable

from connectors.http.app import HttpApp
from connectors.http.body import BodyReader
from connectors.http.listener import FAILURES, HandshakeFailed
from connectors.http.peer import DATA, PLAIN, REGISTRATION
from connectors.http.request import Route
from connectors.ingress.access_tokens import AccessTokens
from connectors.ingress.certificate_states import CertificateStates
from connectors.ingress.gate import Gate, Gatekeeper
from connectors.ingress.guard_options import GuardOptions, Guards
from connectors.ingress.rate_limits import RateLimits
from connectors.ingress.security_events import SecurityEvents
from connectors.ingress.signed_requests import SignedRequests
from connectors.ingress.token_routes import token_routes

log = logging.getLogger(__name__)

LOG_SECONDS = 1.0  # between two lines about failed handshakes, so that nobody floods the log


class Entrances:
    """The gates of the three listeners. `failed`: handshakes that came to nothing, by listener and reason."""

    def __init__(
        self,
        options: GuardOptions,
        guards: Guards,
        bodies: BodyReader,
        security: SecurityEvents,
        name: Callable[[str], str],
    ) -> None:
        """`name` gives a caller's name."""
        self.security, self.signer = security, guards.signer
        self.states = CertificateStates(guards.certificates, options.grace)
        self.limits = RateLimits(guards.limiter, security)
        self.tokens = AccessTokens(guards.signer, options.token_seconds, options.issuer)
        signed = SignedRequests(guards.nonces, bodies)
        keeper = Gatekeeper(self.states, signed, self.tokens, self.limits, security, options.proxies, name)
        self._gates = {
            PLAIN: Gate(PLAIN, keeper, options.plain_quotas, options.quotas),
            REGISTRATION: Gate(REGISTRATION, keeper, options.quotas, options.quotas),
            DATA: Gate(DATA, keeper, options.quotas, options.quotas),
        }
        self.failed = {(name, reason): 0 for name in (REGISTRATION, DATA) for reason in FAILURES}
        self._told, self._untold = float("-inf"), 0  # when failed handshakes were last logged, and how many since

    def routes(self) -> list[Route]:
        return token_routes(self.tokens)

    def applications(self, application: HttpApp) -> dict[str, HttpApp]:
        """The application as each listener has it."""
        return {name: application.on(name, gate) for name, gate in self._gates.items()}

    def handshake_failed(self, listener: str) -> HandshakeFailed:
        def failed(reason: str, address: str, said: str) -> None:
            self.failed[listener, reason] += 1
            self._untold += 1
            if time.monotonic() - self._told > LOG_SECONDS:
                context = {"listener": listener, "reason": reason, "address": address, "failures": self._untold}
                log.info("TLS handshakes failed, the last one: %s", said, extra={"context": context})
                self._told, self._untold = time.monotonic(), 0
            self._gates[listener].handshake_failed(reason, address, said)

        return failed
