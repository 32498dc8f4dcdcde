"""Whose signature a ledger must have."""

from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from infra.pki_files import Pki
from infra.settings import SettingError, Settings
from schemas.transparency.notes import LOG, BadNote, NoteKey, parse_key


def trusted_key(settings: Settings, text: str | None) -> NoteKey:
    """The ledger's key: `text` (NAME+ID+BASE64, or a file that holds it), or this machine's own.

    Raises:
        SettingError: there is none, or it is none.
    """
    if text is None:
        return own_key(settings)
    file = Path(text)
    try:
        return parse_key(file.read_text("utf-8") if "+" not in text and file.exists() else text)
    except BadNote as bad:
        raise SettingError(f"--key: {bad}") from None


def own_key(settings: Settings) -> NoteKey:
    """The key of this machine's ledger, from data_dir/pki/ledger.pub.

    Raises:
        SettingError: there is none.
    """
    file = Pki(settings.data / "pki").ledger_public_key
    try:
        public = load_pem_public_key(file.read_bytes()).public_bytes(Encoding.Raw, PublicFormat.Raw)
    except (OSError, ValueError) as error:
        raise SettingError(f"{file}: {error}; --key names the ledger's key") from None
    return NoteKey(settings.ledger_origin, LOG, public)
