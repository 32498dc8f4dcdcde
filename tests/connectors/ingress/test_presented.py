"""Certificates as they are presented: whatever comes is a device's or refused, and nothing else."""

import base64
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.http.peer import DeviceIdentity
from connectors.ingress.access_tokens import AccessTokens, BadToken
from connectors.ingress.presented import NotADevice, forwarded, identity, proxies
from connectors.signing_keys import SigningKeys
from tests.connectors.ingress.tls_world import Authority

AUTHORITY = Authority()
HELD = AUTHORITY.device("dev-1")
DER = HELD.der


def test_a_certificate_is_read() -> None:
    found = identity(DER, "certificate")
    assert (found.device_id, found.serial, found.by) == ("dev-1", HELD.serial, "certificate")
    assert found.not_after // 1_000_000 == int(HELD.certificate.not_valid_after_utc.timestamp())


@pytest.mark.filterwarnings("ignore:Parsed a serial number")
@settings(max_examples=300)
@given(st.lists(st.tuples(st.integers(0, len(DER) - 1), st.integers(0, 255)), min_size=1, max_size=4))
def test_a_changed_certificate_is_read_or_refused(changes: list[tuple[int, int]]) -> None:
    changed = bytearray(DER)
    for place, value in changes:
        changed[place] = value
    with suppress(NotADevice):
        assert isinstance(identity(bytes(changed), "proxy"), DeviceIdentity)


@given(st.binary(max_size=200))
def test_bytes_are_no_certificate(content: bytes) -> None:
    with pytest.raises(NotADevice):
        identity(content, "proxy")


def test_a_huge_certificate_is_not_looked_at() -> None:
    with pytest.raises(NotADevice, match="too large"):
        identity(DER + bytes(9_000), "proxy")


@given(st.binary(max_size=200))
def test_a_header_holds_a_byte_sequence_or_is_refused(content: bytes) -> None:
    assert forwarded(b" :" + base64.b64encode(DER) + b": ") == DER
    with suppress(NotADevice):
        assert isinstance(forwarded(content), bytes)


@pytest.mark.parametrize(
    ("address", "trusted"),
    [
        ("10.1.2.3", True),
        ("10.2.0.1", False),
        ("192.0.2.9", True),
        ("::ffff:192.0.2.9", True),
        ("fe80::1%eth0", True),
        ("2001:db8::1", False),
        ("", False),
    ],
)
def test_proxies_are_addresses_and_networks(address: str, trusted: bool) -> None:
    assert proxies(" 10.1.0.0/16,192.0.2.9 , fe80::/10,").trusted(address) is trusted
    assert not proxies("").trusted(address)


TOKENS = AccessTokens(SigningKeys(), 3600, "test")
TOKEN = TOKENS.issue(identity(DER, "certificate")).access_token.encode()


@settings(max_examples=200)
@given(st.integers(0, len(TOKEN) - 1), st.binary(min_size=1, max_size=3))
def test_a_changed_token_is_refused(place: int, put: bytes) -> None:
    changed = TOKEN[:place] + put + TOKEN[place + len(put) :]
    if changed == TOKEN:
        return
    with suppress(BadToken):
        claims = TOKENS.claimed(changed)
        assert place >= len(TOKEN) - 3  # the last character of base64 has bits that mean nothing
        assert claims["sub"] == "dev-1"


@given(st.binary(max_size=100))
def test_bytes_are_no_token(content: bytes) -> None:
    with pytest.raises(BadToken):
        TOKENS.claimed(content)
