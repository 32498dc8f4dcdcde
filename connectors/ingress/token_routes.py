"""Access tokens and the keys they are checked with, over HTTP."""

from typing import Any

from connectors.http.peer import EVERYWHERE, ON_DATA
from connectors.http.problems import problem
from connectors.http.request import Answer, Fault, Request, Route
from connectors.ingress.access_tokens import AccessTokens, Issued
from connectors.ingress.answers import encoder
from connectors.ingress.openapi import answers, path_parameter
from schemas.device_uri import DEVICE_ID

NO_STORE = [(b"cache-control", b"no-store")]  # RFC 6749, 5.1
KEYS_SECONDS = 300
JWK_SET = b"application/jwk-set+json"
TOKEN_DOCUMENTS = (Issued,)


class TokenPages:
    """The handlers."""

    def __init__(self, tokens: AccessTokens) -> None:
        self._tokens = tokens

    async def issue(self, request: Request) -> Answer:
        """`POST /v1/devices/{id}/token`."""
        identity = request.identity
        if identity is None or identity.by == "token":
            raise Fault(403, "FORBIDDEN", "a token is given to who shows the device's certificate")
        return Answer(encoder.encode(self._tokens.issue(identity)), headers=NO_STORE)

    async def keys(self, request: Request) -> Answer:
        """`GET /.well-known/jwks.json`."""
        caching = [(b"cache-control", b"public, max-age=%d" % KEYS_SECONDS)]
        return Answer(encoder.encode(self._tokens.key_set().as_dict(private=False)), 200, JWK_SET, caching)


def token_routes(tokens: AccessTokens) -> list[Route]:
    pages = TokenPages(tokens)
    issue: dict[str, Any] = {
        "operationId": "issue_token",
        "summary": "An access token for an hour, bound to the certificate that is shown",
        "tags": ["devices"],
        "parameters": [path_parameter("id", "The device's id.", {"type": "string", "pattern": f"^{DEVICE_ID.pattern}$"})],
        "responses": answers("Issued", faults=(401, 403, 503)),
    }
    keys: dict[str, Any] = {
        "operationId": "jwks",
        "summary": "The keys that tokens and signed configurations are checked with (RFC 7517)",
        "tags": ["operation"],
        "security": [],
        "responses": {"200": {"description": "A JWK Set.", "content": {"application/jwk-set+json": {"schema": {}}}}},
    }
    return [
        Route("POST", "/v1/devices/{id}/token", pages.issue, problem, issue, listeners=ON_DATA),
        Route("GET", "/.well-known/jwks.json", pages.keys, problem, keys, public=True, listeners=EVERYWHERE),
    ]
