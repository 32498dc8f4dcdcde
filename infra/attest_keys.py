"""The key that signs what the views hold: data_dir/attest.key, and its public key in data_dir/attest.pub."""

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from connectors import private_files
from infra.settings import SettingError, Settings
from schemas.transparency.notes import LOG, BadNote, NoteKey, Signer, parse_key


def signer(settings: Settings) -> Signer:
    """This machine's signer. The key is made once, readable by its owner only; the public one is for everybody.

    Raises:
        SettingError: the file holds no such key, or is readable by others; or the origin is no name of a key.
    """
    file = settings.data / "attest.key"
    if not file.exists():
        made = Ed25519PrivateKey.generate()
        private_files.make(file, made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    try:
        key = load_pem_private_key(private_files.read(file), None)
    except private_files.Exposed as exposed:
        raise SettingError(str(exposed)) from None
    except (OSError, ValueError) as error:
        raise SettingError(f"{file}: {error}") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise SettingError(f"{file} holds no Ed25519 key")
    try:
        made_signer = Signer(settings.attest_origin, LOG, key)
    except BadNote as bad:
        raise SettingError(f"FLEETLOG_ATTEST_ORIGIN: {bad}") from None
    private_files.replace(_public(settings), f"{made_signer.key.text}\n".encode(), 0o644)
    return made_signer


def trusted_key(settings: Settings, text: str | None) -> NoteKey:
    """Whose signature an attestation must have: `text` (NAME+ID+BASE64, or a file that holds it), or this machine's own.

    Raises:
        SettingError: there is none, or it is none.
    """
    file = _public(settings) if text is None else Path(text)
    try:
        return parse_key(file.read_text("utf-8") if text is None or file.exists() else text)
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(f"{file}: {error}; --key names the key that signs attestations") from None
    except BadNote as bad:
        raise SettingError(f"--key {text or file}: {bad}") from None


def _public(settings: Settings) -> Path:
    return settings.data / "attest.pub"
