"""The authority's keys in a PKCS#11 token (a hardware security module, or SoftHSM): made there, and never out of it."""

import hashlib
import threading
from typing import TYPE_CHECKING, Any, NamedTuple

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from connectors.authority.file_keys import NAME
from connectors.authority.port import NoKey, Signer
from connectors.ports import Away

if TYPE_CHECKING:
    import pkcs11  # needed only where keys are in a token

COORDINATE_BYTES = 32


class Token(NamedTuple):
    """`module`: path of the PKCS#11 library; `label`: the token's; `prefix`: what the keys' labels begin with."""

    module: str
    label: str
    pin: str
    prefix: str


class TokenKeys:
    """The key NAME has the label PREFIX-NAME. One session, opened when it is needed and again after the token was away."""

    def __init__(self, token: Token) -> None:
        self._token = token
        self._lock = threading.Lock()  # a session does one thing at a time
        self._session: pkcs11.Session | None = None
        self._found: dict[str, Any] = {}  # private keys of the session by label: each search is a question to the token

    def make(self, name: str) -> Signer:
        try:
            return self.signer(name)
        except _Missing:
            self._asked(lambda session: self._generate(session, self._label(name)))
            return self.signer(name)

    def signer(self, name: str) -> Signer:
        label = self._label(name)
        return TokenSigner(self, label, self._asked(lambda session: _public_key(session, label)))

    def signature(self, label: str, message: bytes) -> bytes:
        """ECDSA with SHA-256, DER. The digest is made here: tokens differ in what they hash themselves."""
        from pkcs11 import KeyType, Mechanism, ObjectClass

        digest = hashlib.sha256(message).digest()

        def sign(session: "pkcs11.Session") -> bytes:
            if label not in self._found:
                found = session.get_key(object_class=ObjectClass.PRIVATE_KEY, key_type=KeyType.EC, label=label)
                self._found[label] = found
            return bytes(self._found[label].sign(digest, mechanism=Mechanism.ECDSA))

        pair = self._asked(sign)
        r, s = pair[:COORDINATE_BYTES], pair[COORDINATE_BYTES:]
        return encode_dss_signature(int.from_bytes(r, "big"), int.from_bytes(s, "big"))

    def _label(self, name: str) -> str:
        if not NAME.fullmatch(name):
            raise NoKey(f"{name!r} is no name of a key: letters, digits and '-'")
        return f"{self._token.prefix}-{name}"

    def _asked(self, ask: Any) -> Any:
        """What `ask` says of the session.

        Raises:
            NoKey: there is no such key or token, or the PIN is wrong.
            Away: the token does not answer.
        """
        import pkcs11

        wrong = (pkcs11.PinIncorrect, pkcs11.PinInvalid, pkcs11.PinLenRange, pkcs11.PinLocked, pkcs11.NoSuchToken)
        with self._lock:
            try:
                return ask(self._opened())
            except pkcs11.NoSuchKey:
                raise _Missing(f"the token {self._token.label} holds no such key") from None
            except wrong as error:
                raise NoKey(f"the token {self._token.label} can't be opened: {type(error).__name__}") from None
            except (pkcs11.PKCS11Error, RuntimeError) as error:
                self._session = None
                self._found.clear()
                raise Away(f"the token {self._token.label}: {type(error).__name__} {error}") from error

    def _opened(self) -> "pkcs11.Session":
        import pkcs11

        if self._session is None:
            try:
                library = pkcs11.lib(self._token.module)
            except (pkcs11.PKCS11Error, RuntimeError) as error:
                raise NoKey(f"the PKCS#11 library can't be used: {error}") from None
            token = library.get_token(token_label=self._token.label)
            try:
                self._session = token.open(rw=True, user_pin=self._token.pin)
            except pkcs11.UserAlreadyLoggedIn:  # a login counts for all sessions of a process
                self._session = token.open(rw=True)
        return self._session

    @staticmethod
    def _generate(session: "pkcs11.Session", label: str) -> None:
        from pkcs11 import Attribute, KeyType, MechanismFlag
        from pkcs11.util.ec import encode_named_curve_parameters

        curve = {Attribute.EC_PARAMS: encode_named_curve_parameters("secp256r1")}
        session.create_domain_parameters(KeyType.EC, curve, local=True).generate_keypair(
            store=True,
            label=label,
            capabilities=MechanismFlag.SIGN | MechanismFlag.VERIFY,
            private_template={Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False},
        )


class TokenSigner:
    def __init__(self, keys: TokenKeys, label: str, public_key: ec.EllipticCurvePublicKey) -> None:
        self._keys, self._label, self._public_key = keys, label, public_key

    @property
    def public_key(self) -> ec.EllipticCurvePublicKey:
        return self._public_key

    def sign(self, message: bytes) -> bytes:
        return self._keys.signature(self._label, message)


class _Missing(NoKey):
    """The token is there, the key is not."""


def _public_key(session: "pkcs11.Session", label: str) -> ec.EllipticCurvePublicKey:
    from cryptography.hazmat.primitives.serialization import load_der_public_key
    from pkcs11 import KeyType, ObjectClass
    from pkcs11.util.ec import encode_ec_public_key

    found: Any = session.get_key(object_class=ObjectClass.PUBLIC_KEY, key_type=KeyType.EC, label=label)
    key = load_der_public_key(encode_ec_public_key(found))
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise NoKey(f"the token's key {label} is not on P-256")
    return key
