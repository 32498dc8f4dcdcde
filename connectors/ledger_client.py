"""Asking a ledger, or a witness of one, over HTTP."""

from typing import Any

import httpx

from connectors.ports import Away
from schemas.transparency.tiles import BadTile, Tile, path_of


class LedgerClient:
    """`url` is the ledger's address, below which `checkpoint` and `tile/` are."""

    def __init__(self, url: str, timeout: float = 10.0) -> None:
        self.url = url.rstrip("/")
        self._http = httpx.Client(timeout=timeout)

    def checkpoint(self) -> str:
        """
        Raises:
            Away: no answer, or none yet.
        """
        return self._get("checkpoint").text

    def tile(self, tile: Tile) -> bytes:
        """The bytes of a tile or entry bundle.

        Raises:
            Away: no answer.
            BadTile: it has no such tile.
        """
        try:
            return self._get(path_of(tile)).content
        except LookupError as error:
            raise BadTile(str(error)) from None

    def entry(self, serial: str) -> dict[str, Any] | None:
        """A certificate's entry and proof; None if the ledger shows none. Errors as `checkpoint`."""
        try:
            found: dict[str, Any] = self._get(f"entry?serial={serial}").json()
        except LookupError:
            return None
        return found

    def _get(self, path: str) -> httpx.Response:
        try:
            answer = self._http.get(f"{self.url}/{path}")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Away(f"{self.url} does not answer: {error}") from error
        if answer.status_code == 404:
            raise LookupError(f"{self.url} has no {path}")
        if answer.status_code != 200:
            raise Away(f"{self.url}/{path} answers {answer.status_code}")
        return answer

    def close(self) -> None:
        self._http.close()
