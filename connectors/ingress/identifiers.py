"""Ids that the ingress makes: event ids."""

import os
import time


class EventIds:
    """UUIDv7s that rise strictly within a process (RFC 9562, 6.2, method 2: the random bits count up within a
    millisecond; a clock that steps back is waited out by counting on)."""

    def __init__(self) -> None:
        self._millisecond = 0
        self._head = b""  # the first 10 bytes: milliseconds, version, variant, 26 random bits
        self._head_text = ""
        self._count = 0  # the last 6, random too; their first bit starts as 0 so that the count has room

    def next(self) -> tuple[bytes, str]:
        """A new id: its 16 bytes, its usual text."""
        now = time.time_ns() // 1_000_000
        if now > self._millisecond:
            self._renew(now)
        else:
            self._count += 1
        return self._head + self._count.to_bytes(6, "big"), f"{self._head_text}{self._count:012x}"

    def _renew(self, millisecond: int) -> None:
        self._millisecond = millisecond
        bits = int.from_bytes(os.urandom(10), "big")
        a, b = bits & 0xFFF, bits >> 12 & 0x3FFF
        self._head = (millisecond << 32 | 7 << 28 | a << 16 | 0b10 << 14 | b).to_bytes(10, "big")
        text = self._head.hex()
        self._head_text = f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:]}-"
        self._count = bits >> 33


def uuid_text(number: bytes) -> str:
    """The usual text of a UUID's 16 bytes."""
    text = number.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def uuid_bytes(text: str) -> bytes:
    """The reverse of `uuid_text`.

    Raises:
        ValueError: it is no UUID.
    """
    number = bytes.fromhex(text.replace("-", ""))
    if len(number) != 16:
        raise ValueError(f"not a UUID: {text!r}")
    return number
