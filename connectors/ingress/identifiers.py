"""Ids that the ingress makes: event ids, trace context, correlation ids."""

import os
import random
import re
import time

_TRACEPARENT = re.compile(rb"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-[!-~]*)?")
_CORRELATION = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")


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


def trace_parent(given: bytes | None) -> tuple[bytes, str]:
    """The W3C traceparent for the records of a request, and the id of its trace: the one given if it is valid, else a
    new one (not sampled)."""
    if given is not None:
        match = _TRACEPARENT.fullmatch(given)
        if match is not None and _valid(given, match):
            return given, match[1].decode()
    made = f"{random.getrandbits(192):048x}"  # to tell traces apart, not to keep a secret
    return f"00-{made[:32]}-{made[32:]}-00".encode(), made[:32]


def _valid(given: bytes, match: "re.Match[bytes]") -> bool:
    # Version ff is invalid, version 00 has exactly four parts, ids of zeros only are invalid (Trace Context, 3.2.2).
    version, more = given[:2], match[3]
    return version != b"ff" and not (version == b"00" and more) and bool(match[1].strip(b"0")) and bool(match[2].strip(b"0"))


def correlation_id(given: bytes | None, trace_id: str) -> str:
    """The correlation id of a request: the one given if it is usable in a header and a log, else its trace's id."""
    if given is not None and _CORRELATION.fullmatch(given):
        return given.decode()
    return trace_id
