"""`fleetlog witness run` before a ledger of plain files: it cosigns what grows, and ends with evidence when cheated."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from infra.settings import Settings
from infra.stack.ports import free_ports
from schemas.transparency.merkle import Tree, leaf_hash
from schemas.transparency.notes import LOG, Signer, check_signature, opened, parse_key, parse_note
from schemas.transparency.tiles import Tile, path_of, tile_of

SIGNER = Signer("example.com/ledger", LOG, Ed25519PrivateKey.from_private_bytes(b"\1" * 32))


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nothing."""


class Ledger:
    """A ledger of files, as C2SP tlog-tiles intends it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(directory)))
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def show(self, *entries: str) -> None:
        tree = Tree()
        for entry in entries:
            tree.append(leaf_hash(entry.encode()))
        tile = Tile(0, 0, tree.size)
        path = self.directory / path_of(tile)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(tile_of(tree, tile))
        part = self.directory / "part"
        part.write_text(SIGNER.checkpoint(tree.size, tree.root()), "utf-8")
        part.replace(self.directory / "checkpoint")


class Running:
    """The process."""

    def __init__(self, ledger: Ledger, directory: Path, patience: str) -> None:
        with free_ports(1) as (self.port,):
            settings = Settings(data_dir=str(directory), witness_port=self.port)
        own = {name: value for name, value in os.environ.items() if not name.startswith("FLEETLOG_")}
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-P", "-m", "infra.cli.main", "witness", "run", "--ledger", ledger.url),
                *("--key", SIGNER.key.text, "--every", "50ms", "--patience", patience),
            ],
            env=own | settings.environment(),
            stderr=subprocess.PIPE,
            text=True,
        )
        self.directory = directory / "witness"

    def get(self, path: str) -> httpx.Response:
        return httpx.get(f"http://127.0.0.1:{self.port}{path}", timeout=5)

    def await_size(self, size: int) -> str:
        until = time.monotonic() + 90
        while True:
            try:
                answer = self.get("/checkpoint")
                if answer.status_code == 200 and opened(answer.text, SIGNER.key).size == size:
                    return answer.text
            except httpx.TransportError:
                pass
            assert time.monotonic() < until
            assert self.process.poll() is None, self.process.stderr
            time.sleep(0.05)

    def evidence(self) -> dict[str, object]:
        (file,) = self.directory.glob("evidence-*.json")
        found: dict[str, object] = json.loads(file.read_text("utf-8"))
        return found


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    made = Ledger(tmp_path / "ledger")
    made.directory.mkdir()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.mark.parametrize(
    ("shown", "kind"),
    [
        (("a", "forged", "c", "d"), "forked"),
        (("a", "c", "d", "e"), "forked"),
        (("b", "a", "c", "d"), "forked"),
        (("a", "b"), "rolled_back"),
    ],
)
def test_a_ledger_that_cheats_ends_it_with_evidence(
    ledger: Ledger, tmp_path: Path, shown: tuple[str, ...], kind: str
) -> None:
    ledger.show("a")
    running = Running(ledger, tmp_path, "200ms")
    try:
        running.await_size(1)
        ledger.show("a", "b", "c")
        seen = running.await_size(3)
        key = parse_key(running.get("/key").text)
        assert check_signature(parse_note(seen), key) > 0
        assert running.get("/health").status_code == 200
        ledger.show(*shown)
        assert running.process.wait(90) == 1
    finally:
        running.process.kill()
        _, log = running.process.communicate()
    evidence = running.evidence()
    assert evidence["kind"] == kind, log
    assert opened(str(evidence["shown"]), SIGNER.key).size == len(shown)
    assert opened(str(evidence["seen"]), SIGNER.key).size == 3
    assert (running.directory / "checkpoint").read_text("utf-8").split("\n")[1] == "3"
    assert (running.directory / "key").stat().st_mode & 0o777 == 0o600


def test_a_server_that_lags_for_a_moment_is_no_cheat(ledger: Ledger, tmp_path: Path) -> None:
    ledger.show("a", "b", "c")
    running = Running(ledger, tmp_path, "90s")
    try:
        running.await_size(3)
        ledger.show("a", "b")
        until = time.monotonic() + 90
        while "rolled_back" not in running.get("/health").text:
            assert time.monotonic() < until
            time.sleep(0.02)
        ledger.show("a", "b", "c", "d")
        running.await_size(4)
        running.process.terminate()
        assert running.process.wait(90) == 0
    finally:
        running.process.kill()
        running.process.communicate()
    assert not list(running.directory.glob("evidence-*"))
    assert [json.loads(line)["size"] for line in (running.directory / "heads.jsonl").read_text().splitlines()] == [3, 4]
