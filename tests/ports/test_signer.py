"""Keys and Signer: one suite for those in memory, in files, and in a PKCS#11 token."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.authority.file_keys import FileKeys, MemoryKeys
from connectors.authority.port import Keys, NoKey
from connectors.authority.token_keys import Token, TokenKeys
from connectors.ports import Away
from tests.connectors.authority import authorities, tokens
from tests.connectors.authority.authorities import command, ec_key

ECDSA = ec.ECDSA(hashes.SHA256())


@pytest.fixture(scope="module")
def token(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Token]:
    with tokens.token(tmp_path_factory.mktemp("token")) as made:
        yield made


Opening = Callable[[], Keys]


@pytest.fixture(params=["memory", "files", "token"])
def opening(request: pytest.FixtureRequest, tmp_path: Path) -> Opening:
    """Opens the same keys each time."""
    if request.param == "memory":
        kept = MemoryKeys()
        return lambda: kept
    if request.param == "files":
        return lambda: FileKeys(tmp_path / "keys", b"a passphrase")
    prefix = tmp_path.name.replace("_", "-")
    token: Token = request.getfixturevalue("token")
    return lambda: TokenKeys(token._replace(prefix=prefix))


def test_a_key_signs_and_stays(opening: Opening) -> None:
    made = opening().make("root")
    made.public_key.verify(made.sign(b"message"), b"message", ECDSA)
    found = opening().signer("root")
    assert found.public_key == made.public_key
    made.public_key.verify(found.sign(b"another"), b"another", ECDSA)
    with pytest.raises(InvalidSignature):
        made.public_key.verify(found.sign(b"another"), b"message", ECDSA)


def test_a_key_that_is_there_is_not_made_again(opening: Opening) -> None:
    assert opening().make("root").public_key == opening().make("root").public_key
    assert opening().make("devices-1").public_key != opening().make("root").public_key


@pytest.mark.parametrize("name", ["absent", "", "../root", "Root", "a" * 65])
def test_a_key_that_is_not_there(opening: Opening, name: str) -> None:
    with pytest.raises(NoKey):
        opening().signer(name)


@pytest.mark.parametrize("name", ["", "../root", "a/b"])
def test_what_is_no_name(opening: Opening, name: str) -> None:
    with pytest.raises(NoKey):
        opening().make(name)


@settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(message=st.binary(max_size=300))
def test_any_message(opening: Opening, message: bytes) -> None:
    signer = opening().make("any")
    signer.public_key.verify(signer.sign(message), message, ECDSA)


def test_an_authority_issues_with_them(opening: Opening) -> None:
    shelf = authorities.shelf(opening())
    device = x509.load_der_x509_certificate(shelf.authority().issue(command(ec_key())).certificate)
    device.verify_directly_issued_by(shelf.issuing["devices-1"])
    shelf.issuing["devices-1"].verify_directly_issued_by(shelf.root)


def test_a_wrong_pin_is_told_and_opens_nothing(token: Token) -> None:
    import pkcs11

    pkcs11.lib(token.module).reinitialize()  # no session of this process is logged in any more
    with pytest.raises(NoKey, match="PinIncorrect"):
        TokenKeys(token._replace(pin="654321")).signer("root")
    with pytest.raises(NoKey, match="NoSuchToken"):
        TokenKeys(token._replace(label="another")).signer("root")


def test_a_token_s_key_can_t_be_read(token: Token) -> None:
    import pkcs11
    from pkcs11 import Attribute, ObjectClass

    TokenKeys(token).make("secret")
    with pkcs11.lib(token.module).get_token(token_label=token.label).open() as session:
        key = session.get_key(object_class=ObjectClass.PRIVATE_KEY, label="fleetlog-secret")
        assert key[Attribute.EXTRACTABLE] is False
        with pytest.raises(pkcs11.AttributeSensitive):
            key[Attribute.VALUE]


# The library ends while the binding still holds a search, which then can't be ended.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_token_that_is_away_and_comes_back(token: Token) -> None:
    import pkcs11

    signer = TokenKeys(token).make("away")
    pkcs11.lib(token.module).finalize()
    with pytest.raises(Away):
        signer.sign(b"message")
    pkcs11.lib(token.module).reinitialize()
    signer.public_key.verify(signer.sign(b"message"), b"message", ECDSA)
