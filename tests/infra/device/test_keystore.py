"""A device's folder: private, whole after every step, and a key is never lost."""

import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from connectors import keys
from infra.device.keystore import ABOUT, ALGORITHMS, KEY, Keystore, NothingKept, generate, public_der, sign


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_key_is_kept_as_pkcs8_for_its_owner_only(tmp_path: Path, algorithm: str) -> None:
    store = Keystore(tmp_path / "new" / "device")
    key = store.make_key(algorithm)
    assert stat.S_IMODE(store.path(KEY).stat().st_mode) == 0o600
    assert store.read(KEY).startswith(b"-----BEGIN PRIVATE KEY-----")
    assert public_der(store.key()) == public_der(key)
    assert keys.verifies(key.public_key(), sign(store.key(), b"said"), b"said")
    assert not keys.verifies(key.public_key(), sign(store.key(), b"said"), b"other")
    with pytest.raises(FileExistsError, match="never written over"):
        store.make_key(algorithm)
    assert [path.name for path in store.folder.iterdir()] == [KEY]


def test_an_unknown_algorithm_is_told() -> None:
    with pytest.raises(ValueError, match="no algorithm 'dsa'"):
        generate("dsa")


def test_what_is_not_there_or_not_readable_is_told(tmp_path: Path) -> None:
    store = Keystore(tmp_path)
    with pytest.raises(NothingKept, match=r"key\.pem does not exist"):
        store.key()
    store.write(KEY, b"nonsense")
    with pytest.raises(NothingKept, match="holds no private key"):
        store.key()
    other = ec.generate_private_key(ec.SECP384R1())
    store.write(KEY, other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(NothingKept, match="P-256 is the curve that is taken"):
        store.key()
    for text, why in ((b"{", "is not JSON"), (b"[]", "holds no JSON object")):
        store.write(ABOUT, text)
        with pytest.raises(NothingKept, match=why):
            store.noted(ABOUT)


def test_a_note_comes_back(tmp_path: Path) -> None:
    store = Keystore(tmp_path)
    store.note(ABOUT, {"device_id": "d", "n": 1})
    assert store.noted(ABOUT) == {"device_id": "d", "n": 1}
    store.remove(ABOUT)
    store.remove(ABOUT)
    assert not store.has(ABOUT)
