"""What the authority's tests run besides Python packages: SoftHSM (a PKCS#11 token) and zlint (a linter of certificates).

`python -m tests.connectors.authority.install` brings them into the virtual environment (SYS_PREFIX/share/fleetlog). zlint's
version and those of its modules are pinned with digests in zlint/go.mod and go.sum; SoftHSM is Debian's.
"""

import hashlib
import sys
from pathlib import Path

from infra.stack import jars
from tests.clients import install

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
PINNED = (HERE / "install.py", HERE / "zlint" / "go.mod", HERE / "zlint" / "go.sum", ROOT / "scripts" / "softhsm.sh")


def directory() -> Path:
    return Path(sys.prefix) / "share" / "fleetlog" / "authority"


def softhsm() -> Path:
    """Folder of libsofthsm2.so and softhsm2-util."""
    return ensure() / "softhsm"


def zlint() -> Path:
    """The program."""
    return ensure() / "zlint"


def ensure() -> Path:
    """Bring what is missing, and return `directory()`; does nothing, and asks nobody, when all is there.

    Raises:
        tests.clients.install.NotInstalled: something can't be brought.
    """
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in PINNED)).hexdigest()
    target = directory()
    target.mkdir(parents=True, exist_ok=True)
    stamp = target / "stamp"
    with jars.locked():
        if not stamp.exists() or stamp.read_text() != digest:
            install.run("SoftHSM", ["sh", str(ROOT / "scripts" / "softhsm.sh"), str(target / "softhsm")], ROOT)
            program = ["go", "build", "-o", str(target / "zlint"), "github.com/zmap/zlint/v3/cmd/zlint"]
            install.run("zlint", program, HERE / "zlint")
            stamp.write_text(digest)
    return target


if __name__ == "__main__":
    ensure()
