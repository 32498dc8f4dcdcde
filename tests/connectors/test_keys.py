"""Which public keys the fleet takes."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519

from connectors import keys

WEAK = {
    "a short RSA key": rsa.generate_private_key(65537, 1024),
    "an RSA key of a small exponent": rsa.generate_private_key(3, 2048),
    "another curve": ec.generate_private_key(ec.SECP384R1()),
    "a key that only agrees": x25519.X25519PrivateKey.generate(),
}
SOUND = {
    "EC P-256": ec.generate_private_key(ec.SECP256R1()),
    "RSA 2048": rsa.generate_private_key(65537, 2048),
    "Ed25519": ed25519.Ed25519PrivateKey.generate(),
}


@pytest.mark.parametrize("what", WEAK)
def test_it_is_not_taken(what: str) -> None:
    with pytest.raises(keys.BadKey):
        keys.checked(WEAK[what].public_key())


@pytest.mark.parametrize("what", SOUND)
def test_it_is_taken_and_named(what: str) -> None:
    key = keys.checked(SOUND[what].public_key())
    assert keys.algorithm(key) == what
    assert keys.load(keys.der(key)) == key
