"""The secrets of claims: tokens, PINs and what the log holds of them."""

import base64
import hashlib
import hmac
import secrets
from typing import NamedTuple

PIN_DIGITS = 6
SEPARATOR = "."


class ClaimSecrets(NamedTuple):
    """What is told to the user, once."""

    token: str
    pin: str


class Secrets:
    """Makes secrets and their hashes under the server's own secret."""

    def __init__(self, pepper: bytes) -> None:
        """`pepper`: 32 random bytes that stay with the server, so that a PIN can't be found by trying a million hashes."""
        if len(pepper) < hashlib.sha256().digest_size:
            raise ValueError("a pepper has 32 bytes or more")
        self._pepper = pepper

    def claim(self, claim_id: str, repeatable: bool) -> ClaimSecrets:
        """The secrets of a new claim. Those of a request that may come again are derived from the claim's id, since they are
        kept nowhere."""
        if repeatable:
            random = self._mac(f"token:{claim_id}")
            number = int.from_bytes(self._mac(f"pin:{claim_id}")) % 10**PIN_DIGITS  # of 2**256: as good as uniform
        else:
            random, number = secrets.token_bytes(32), secrets.randbelow(10**PIN_DIGITS)
        text = base64.urlsafe_b64encode(random).rstrip(b"=").decode()
        return ClaimSecrets(f"{claim_id}{SEPARATOR}{text}", f"{number:0{PIN_DIGITS}d}")

    def pin_hash(self, claim_id: str, pin: str) -> bytes:
        """What the log holds of a PIN."""
        return self._mac(f"{claim_id}:{pin}")

    @staticmethod
    def token_hash(token: str) -> bytes:
        """What the log holds of a token."""
        return hashlib.sha256(token.encode()).digest()

    @staticmethod
    def claim_of(token: str) -> str:
        """The claim that a token is of."""
        return token.partition(SEPARATOR)[0]

    def derived(self, purpose: str) -> bytes:
        """32 bytes that only this server can make."""
        return self._mac(f"derived:{purpose}")

    def _mac(self, text: str) -> bytes:
        return hmac.digest(self._pepper, text.encode(), "sha256")
