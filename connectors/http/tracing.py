"""Trace context and correlation ids of requests."""

import random
import re

_TRACEPARENT = re.compile(rb"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-[!-~]*)?")
_CORRELATION = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")


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
