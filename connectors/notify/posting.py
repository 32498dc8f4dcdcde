"""Sending a notice by HTTP: one request, no redirects, a bounded answer, an end to the waiting."""

import socket
import ssl
import time
from collections.abc import Mapping
from urllib.parse import urlsplit

import certifi
import httpcore

from connectors.notify.addresses import Checked, Resolve
from connectors.notify.channel import Undelivered

MOST_ANSWER = 65_536  # bytes that are read of an answer
SHOWN = 200  # characters of it that are recorded
DOUBTFUL = frozenset({502, 504})  # a gateway's words: whoever is behind it may have taken it
AGAIN = frozenset({408, 425, 429})
LONGEST_AFTER = 120.0  # seconds; a receiver that wants to be left alone for longer is tried sooner


class Poster:
    """Posts to one URL. `allow_private`: it may lead to an address that is not of the internet. `authorities`: a PEM file of
    those whose certificates are trusted; None: the internet's."""

    def __init__(
        self,
        url: str,
        allow_private: bool = False,
        authorities: str | None = None,
        resolve: Resolve = socket.getaddrinfo,
    ) -> None:
        self._url, self._allow_private, self._resolve = url, allow_private, resolve
        self._tls = ssl.create_default_context(cafile=authorities or certifi.where())

    def post(self, body: bytes, headers: Mapping[str, str], seconds: float) -> str:
        """Returns the status, and the beginning of what was said.

        Raises:
            Undelivered: it was not taken, or there was no answer.
        """
        backend = Checked(time.monotonic() + seconds, self._allow_private, self._resolve)
        sent = {"Content-Type": "application/json", "User-Agent": "fleetlog", **headers}
        reached = False

        def trace(name: str, info: Mapping[str, object]) -> None:
            nonlocal reached
            reached = reached or name.endswith("send_request_headers.started")

        try:
            with httpcore.ConnectionPool(
                ssl_context=self._tls, network_backend=backend, max_keepalive_connections=0, retries=0
            ) as pool:
                request = {"headers": [*sent.items()], "content": body, "extensions": {"trace": trace}}
                with pool.stream("POST", self._url, **request) as response:  # type: ignore[arg-type]
                    return _judged(response.status, dict(response.headers), _text(response))
        except (httpcore.ConnectTimeout, httpcore.ReadTimeout, httpcore.WriteTimeout, httpcore.PoolTimeout):
            detail = f"no answer within {seconds:g} s"
            raise Undelivered("timeout", detail, again=True, doubtful=reached) from None
        except (httpcore.NetworkError, httpcore.ProtocolError, OSError) as error:
            detail = f"{self._place}: {error or type(error).__name__}"
            raise Undelivered("unreachable", detail, again=True, doubtful=reached) from None

    @property
    def _place(self) -> str:
        """Where the URL leads, without what may be secret in it."""
        split = urlsplit(self._url)
        return f"{split.hostname}:{split.port or (443 if split.scheme == 'https' else 80)}"


def _text(response: httpcore.Response) -> str:
    """The beginning of the answer's body. One that breaks off, or is late, was an answer all the same: its status counts."""
    read = b""
    try:
        for part in response.iter_stream():
            read += part
            if len(read) >= MOST_ANSWER:
                break
    except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException):
        return read[:SHOWN].decode("utf-8", "replace") + " (broken off)"
    return read[:SHOWN].decode("utf-8", "replace")


def _judged(status: int, headers: Mapping[bytes, bytes], text: str) -> str:
    said = f"{status} {text}".strip()
    if 200 <= status < 300:
        return said
    if 300 <= status < 400:
        raise Undelivered("redirected", f"{status}: redirects are not followed", again=False)
    again = status in AGAIN or status >= 500
    after = next((value for name, value in headers.items() if name.lower() == b"retry-after"), b"")
    seconds = min(float(after), LONGEST_AFTER) if after.isdigit() else 0.0
    raise Undelivered("refused", said, again, doubtful=status in DOUBTFUL, after=seconds)
