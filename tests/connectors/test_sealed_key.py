"""A key from server to device: nobody else opens it, nothing in it can be changed."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors import sealed_key
from connectors.authority.signing import SigningKey
from connectors.sealed_key import NotOpened, NotSealable
from tests.connectors.authority import authorities
from tests.connectors.authority.authorities import ec_key

SHELF = authorities.shelf()
ISSUER = SHELF.issuing["devices-1"]
SIGNING = SigningKey(SHELF.keys.signer("devices-1"))
EC_KEY, RSA_KEY = ec_key(), rsa.generate_private_key(65537, 2048)
SECRET = b"a private key"
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def sealed(key: Key, secret: bytes = SECRET) -> bytes:
    return sealed_key.sign(sealed_key.seal(secret, key.public_key()), ISSUER, SIGNING)


@pytest.mark.parametrize("key", [EC_KEY, RSA_KEY], ids=["ec", "rsa"])
@settings(deadline=None)
@given(secret=st.binary(min_size=1, max_size=2000))
def test_it_comes_out_as_it_went_in(key: Key, secret: bytes) -> None:
    message = sealed(key, secret)
    assert sealed_key.unseal(message, key, [ISSUER]) == secret
    assert len(secret) < 8 or secret not in message


@pytest.mark.parametrize("key", [EC_KEY, RSA_KEY], ids=["ec", "rsa"])
@pytest.mark.parametrize("other", [ec_key(), rsa.generate_private_key(65537, 2048)], ids=["ec", "rsa"])
def test_another_key_opens_nothing(key: Key, other: Key) -> None:
    with pytest.raises(NotOpened):
        sealed_key.unseal(sealed(key), other, [ISSUER])


def test_another_authority_s_is_not_opened() -> None:
    foreign = authorities.shelf()
    message = sealed_key.sign(
        sealed_key.seal(SECRET, EC_KEY.public_key()),
        foreign.issuing["devices-1"],
        SigningKey(foreign.keys.signer("devices-1")),
    )
    with pytest.raises(NotOpened, match="none of the authorities"):
        sealed_key.unseal(message, EC_KEY, [ISSUER])


def test_a_signature_by_another_key_in_the_authority_s_name_is_not_taken() -> None:
    envelope = sealed_key.seal(SECRET, EC_KEY.public_key())
    with pytest.raises(NotOpened, match="not the authority's"):
        sealed_key.unseal(sealed_key.sign(envelope, ISSUER, ec_key()), EC_KEY, [ISSUER])


MESSAGES = {key: sealed(key) for key in (EC_KEY, RSA_KEY)}


@pytest.mark.parametrize("key", [EC_KEY, RSA_KEY], ids=["ec", "rsa"])
@settings(deadline=None)
@given(place=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_a_changed_bit_is_noticed_or_of_no_consequence(key: Key, place: int, bit: int) -> None:
    """The certificate that comes along is only a help: trust is the caller's."""
    changed = bytearray(MESSAGES[key])
    changed[place % len(changed)] ^= 1 << bit
    try:
        opened = sealed_key.unseal(bytes(changed), key, [ISSUER])
    except NotOpened:
        return
    assert opened == SECRET


@pytest.mark.parametrize("key", [EC_KEY, RSA_KEY], ids=["ec", "rsa"])
@settings(deadline=None)
@given(place=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_a_changed_bit_under_a_good_signature_is_noticed(key: Key, place: int, bit: int) -> None:
    changed = bytearray(sealed_key.seal(SECRET, key.public_key()))
    changed[place % len(changed)] ^= 1 << bit
    try:
        opened = sealed_key.unseal(sealed_key.sign(bytes(changed), ISSUER, SIGNING), key, [ISSUER])
    except NotOpened:
        return
    assert opened == SECRET  # a part that says nothing to this reader, such as the recipient's identifier


@settings(deadline=None)
@given(garbage=st.binary(max_size=100))
def test_garbage_is_not_opened(garbage: bytes) -> None:
    with pytest.raises(NotOpened):
        sealed_key.unseal(garbage, EC_KEY, [ISSUER])


def test_nothing_is_sealed_for_a_key_that_only_signs() -> None:
    with pytest.raises(NotSealable, match="Ed25519"):
        sealed_key.seal(SECRET, ed25519.Ed25519PrivateKey.generate().public_key())
