"""A token of SoftHSM, made for a test and gone after it."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pkcs11
import pytest

from connectors.authority.token_keys import Token
from tests.connectors.authority import install

LABEL, PIN = "fleet", "123456"


@contextmanager
def token(folder: Path) -> Iterator[Token]:
    """The library reads where its tokens are from SOFTHSM2_CONF, once: it is unloaded at the end."""
    brought = install.softhsm()
    module = str(brought / "libsofthsm2.so")
    (folder / "tokens").mkdir()
    config = folder / "softhsm2.conf"
    config.write_text(f"directories.tokendir = {folder / 'tokens'}\nlog.level = ERROR\n")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("SOFTHSM2_CONF", str(config))
        command = [str(brought / "softhsm2-util"), "--module", module, "--init-token", "--free"]
        subprocess.run([*command, "--label", LABEL, "--pin", PIN, "--so-pin", "12345678"], check=True, capture_output=True)
        try:
            yield Token(module, LABEL, PIN, "fleetlog")
        finally:
            pkcs11.unload(module)
