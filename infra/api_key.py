"""The ingress's API key: the one that the settings give, else one made once and kept in the data directory."""

import os
import secrets
from pathlib import Path

from infra.settings import SettingError, Settings

FILE = "api-key"
SHORTEST = 16


def api_key(settings: Settings) -> str:
    """The key; made and written (readable by the owner only) if there is none yet. Whoever asks first makes it.

    Raises:
        SettingError: the file holds no key.
    """
    if settings.api_key:
        return settings.api_key
    file = settings.data / FILE
    if not file.exists():
        _make(file)
    key = file.read_text("ascii", errors="replace").strip()
    if len(key) < SHORTEST or not key.isascii() or not key.isprintable():
        raise SettingError(
            f"{file} holds no API key of at least {SHORTEST} printable characters; remove it, or set FLEETLOG_API_KEY"
        )
    return key


def _make(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f"{FILE}.{os.getpid()}")
    with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
        opened.write(secrets.token_urlsafe(32) + "\n")
    try:
        os.link(partial, file)  # whole or not at all, and never over another process's
    except FileExistsError:
        pass
    finally:
        partial.unlink()
