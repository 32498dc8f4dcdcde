"""The witness process: asks a ledger for its newest head, cosigns what continues the one before, shows what it cosigned.

It belongs where those who run the ledger can't change its files. A fork ends it at once, with exit code 1 and a file of
evidence; a head that is older than one before, or tiles that don't fit, may be of a server that lags behind, and end it when
they last.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from connectors.http.app import HttpApp
from connectors.http.body import BodyReader
from connectors.http.problems import problem
from connectors.http.request import Answer, Fault, Request, Route
from connectors.http.server import Server, listen, serve
from connectors.ledger_client import LedgerClient
from connectors.ledger_http.service import ServiceOptions
from connectors.ports import Away
from connectors.witness_files import WitnessFiles
from schemas.transparency.notes import WITNESS, NoteKey, Signer, parse_head, parse_note
from streams.ledger.witness import Refused, Witness

log = logging.getLogger(__name__)
TEXT = b"text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class WitnessOptions:
    """`key` is the ledger's, `name` the witness's own. Durations are seconds: between two looks, and how long a ledger may
    show what can't be cosigned, other than a fork."""

    ledger: str
    key: NoteKey
    name: str
    directory: Path
    every: float
    patience: float


class WitnessProcess:
    """Looks after one ledger.

    Attributes:
        trouble: why the newest look has cosigned nothing; empty if it has.
        accused: the file of evidence that ended it.
    """

    def __init__(self, options: WitnessOptions, files: WitnessFiles, clock: Callable[[], float] = time.time) -> None:
        self._options, self._files, self._clock = options, files, clock
        self._client = LedgerClient(options.ledger)
        self.signer = Signer(options.name, WITNESS, files.key())
        self._witness = Witness(options.key, self.signer, files)
        self._since: float | None = None
        self.trouble = "nothing was looked at yet"
        self.accused: Path | None = None

    def look(self) -> bool:
        """Look once; False when it is time to end, in protest."""
        before = self._files.newest()
        try:
            cosigned = self._witness.consider(self._client.checkpoint(), self._client.tile, int(self._clock()))
        except Away as away:
            self.trouble = str(away)
            log.warning("the ledger is away: %s", away)
            return True
        except Refused as refused:
            return self._refused(refused)
        self.trouble, self._since = "", None
        head = parse_head(parse_note(cosigned).text)
        if before is None or parse_head(parse_note(before).text) != head:
            self._files.note({"size": head.size, "root": head.root.hex(), "seconds": int(self._clock())})
        return True

    def _refused(self, refused: Refused) -> bool:
        evidence = refused.evidence
        now = self._clock()
        self._since = now if self._since is None else self._since
        self.trouble = f"{evidence.kind}: {evidence.detail}"
        if evidence.kind != "forked" and now - self._since < self._options.patience:
            log.warning("not cosigned: %s", self.trouble)
            return True
        self.accused = self._files.accuse(evidence.as_json())
        log.critical("NOT cosigned: %s; evidence in %s", self.trouble, self.accused)
        return False

    async def watch(self, end: Callable[[], None]) -> None:
        """Look again and again; calls `end` when it is time to."""
        while await asyncio.to_thread(self.look):
            await asyncio.sleep(self._options.every)
        end()

    def routes(self) -> list[Route]:
        pages = (("/checkpoint", self._checkpoint), ("/key", self._key), ("/health", self._health))
        return [Route("GET", path, handler, problem, public=True) for path, handler in pages]

    async def _checkpoint(self, request: Request) -> Answer:
        newest = self._files.newest()
        if newest is None:
            raise Fault(503, "NO_HEAD", "nothing was cosigned yet", retry_after=1)
        return Answer(newest.encode(), content_type=TEXT, headers=[(b"cache-control", b"no-store")])

    async def _key(self, request: Request) -> Answer:
        return Answer(f"{self.signer.key.text}\n".encode(), content_type=TEXT)

    async def _health(self, request: Request) -> Answer:
        told = {"ledger": self._options.ledger, "trouble": self.trouble, "key": self.signer.key.text}
        return Answer(msgspec.json.encode(told), 503 if self.trouble else 200)


def run(options: WitnessOptions, host: str, port: int) -> int:
    """Run until a signal asks to stop, or the ledger is caught cheating; returns the exit code.

    Raises:
        PortTaken: the message names address and reason.
        Occupied: another process witnesses from the directory.
    """
    files = WitnessFiles(options.directory)
    with files.alone(), listen(host, port) as bound:
        process = WitnessProcess(options, files)
        limits = ServiceOptions()
        app = HttpApp("witness", process.routes(), lambda _: "", BodyReader(limits), lambda *_: None)
        server = Server(limits, app.answer)
        asyncio.run(serve(server, bound, lambda: process.watch(server.stop)))
    return 0 if process.accused is None else 1
