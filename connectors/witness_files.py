"""What a witness keeps, in a directory of its own: its key, the newest head that it cosigned, all of them, and evidence.

key             its private key (Ed25519, PKCS#8 PEM), readable by its owner only
checkpoint      the newest cosigned checkpoint
heads.jsonl     every head that it cosigned, one a line, for people
evidence-*.json heads that it refused
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from connectors import private_files


class Occupied(Exception):
    """Another process witnesses from this directory."""


class WitnessFiles:
    """The port Heads of streams.ledger.witness, and the rest."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @contextmanager
    def alone(self) -> Iterator[None]:
        """
        Raises:
            Occupied: another process has it.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        with (self.directory / "lock").open("wb") as held:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Occupied(f"another process witnesses from {self.directory}") from None
            yield

    def key(self) -> Ed25519PrivateKey:
        """The witness's key, made at the first time.

        Raises:
            private_files.Exposed: others may read it.
            ValueError: the file holds no such key.
        """
        file = self.directory / "key"
        if not file.exists():
            made = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            private_files.make(file, made)
        key = load_pem_private_key(private_files.read(file), None)
        if not isinstance(key, Ed25519PrivateKey):
            raise ValueError(f"{file} holds no Ed25519 key")
        return key

    def newest(self) -> str | None:
        try:
            return (self.directory / "checkpoint").read_text("utf-8")
        except FileNotFoundError:
            return None

    def keep(self, cosigned: str) -> None:
        private_files.replace(self.directory / "checkpoint", cosigned.encode(), 0o644)

    def note(self, head: Mapping[str, object]) -> None:
        """Add to the list of heads."""
        with (self.directory / "heads.jsonl").open("a", encoding="utf-8") as opened:
            opened.write(json.dumps(head, sort_keys=True) + "\n")
            opened.flush()
            os.fsync(opened.fileno())

    def accuse(self, evidence: Mapping[str, object]) -> Path:
        """Keep evidence; returns its file. The same evidence has the same file."""
        content = json.dumps(evidence, indent=2, sort_keys=True).encode()
        file = self.directory / f"evidence-{evidence['kind']}-{hashlib.sha256(content).hexdigest()[:12]}.json"
        private_files.replace(file, content, 0o644)
        return file

    def evidence(self) -> list[Path]:
        """Files of evidence, oldest first."""
        return sorted(self.directory.glob("evidence-*.json"), key=lambda file: file.stat().st_mtime_ns)
