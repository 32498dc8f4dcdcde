"""The authority process: it alone holds the keys of the issuing authorities and of the ledger, decides the ledger's
commands, and shows the ledger and the revocation lists to everybody.

Several may run, with different numbers: one decides, the others show and wait to take over.
"""

import asyncio
import logging
import socket
import threading
import time
from functools import partial
from pathlib import Path
from uuid import UUID, uuid5

import faust
from prometheus_client import Gauge

from connectors.authority.port import Authority
from connectors.command_writer import CommandWriter
from connectors.http.server import Server, listen
from connectors.kafka_log import KafkaLog
from connectors.ledger_http.service import LedgerService, ServiceOptions
from connectors.ports import Away
from connectors.prometheus import PrometheusMonitor
from infra import compose, deciders, pki
from infra.ledger_pages import ShownLedger, ShownPki
from infra.settings import SettingError, Settings
from schemas import contract as contracts
from schemas.certificate_messages import AddAuthority, SignTreeHead
from schemas.log import TopicPartition
from schemas.messages import Command
from schemas.transparency.notes import LOG, BadNote, Signer
from streams.aggregate_decider import recall
from streams.decider import Decider
from streams.identities import CommandHeaders
from streams.ledger.entry_reader import EntryReader
from streams.ledger.machine import COMMANDS, EVENTS, KEY, LedgerMachine
from streams.ledger.published import Follower, Published
from streams.live import Carrier, make_app
from streams.live_decider import LiveDecider, attach_decider

log = logging.getLogger(__name__)

NAME = "ledger"
NAMESPACE = UUID("0b6b3f3e-5f1c-5d43-9a44-6d1f3c2f7a10")
CARE_SECONDS = 1.0  # between two looks at what the ledger lacks
RENEW_SECONDS = 10.0  # between two looks at what is to be renewed
ASK_SECONDS = 30.0  # before the same is asked for again


class AuthorityProcess:
    """All parts of one process. Its decider is attached to `app`."""

    def __init__(self, settings: Settings, index: int) -> None:
        self._settings = settings
        contract, schemas = contracts.load(), compose.registry(settings)
        self._codecs = deciders.all_codecs(contract, schemas)
        self.monitor = PrometheusMonitor()
        self.app: faust.App = make_app(f"fleetlog-authority-{index}", str(Path(settings.data) / f"faust-authority-{index}"))
        self._authority: Authority = pki.authority(settings)
        self._signer = signer(settings)
        decider = Decider(NAME, COMMANDS, EVENTS, self._machine)
        letters = compose.dead_letters(settings, contract, schemas)
        runner = deciders.runner(settings, index, decider, self._codecs, letters)
        self.live: LiveDecider = attach_decider(
            self.app, runner, deciders.reader_maker(settings, index, decider), self.monitor
        )
        self.published = Published()
        read_log = partial(KafkaLog, settings.kafka, batch_records=2_000, queued_kilobytes=4_096)
        self.follower = Follower(self.published, read_log, self._codecs[EVENTS])
        self.entries = EntryReader(self.published, read_log, self._codecs[EVENTS])
        self.service = LedgerService(
            ServiceOptions(request_deadline=settings.request_deadline),
            ShownLedger(self.published, self.entries),
            ShownPki(self._authority, self.published, pki.at(settings)),
            self.health,
            self.monitor.registry,
        )
        self._writer = CommandWriter(settings.kafka, self._codecs)
        self._asked: dict[str, float] = {}
        self.app.timer(CARE_SECONDS)(self._care)
        self.app.timer(RENEW_SECONDS)(self._renew)
        self._show_figures()

    def _machine(self, partition: int) -> LedgerMachine:
        source = TopicPartition(EVENTS, partition)
        reader = KafkaLog(self._settings.kafka, queued_kilobytes=4_096)
        return LedgerMachine(self._authority, self._signer.checkpoint, partial(recall, reader, self._codecs[EVENTS], source))

    @property
    def active(self) -> bool:
        """Whether this process decides."""
        return bool(self.live.reader.assigned())

    def health(self) -> tuple[bool, object]:
        """Whether all is well, and the details."""
        head = self.published.head
        healthy = self.live.reader.alive and not self.live.halts and not self.follower.failure and self.follower.caught_up
        return healthy, {
            "role": "active" if self.active else "standby",
            "decider": {
                "alive": self.live.reader.alive,
                "halted": {str(source): why for source, why in self.live.halts.items()},
                "waiting": {str(source): why for source, why in self.live.waits.items()},
            },
            "ledger": {
                "tree_size": 0 if head is None else head.tree_size,
                "failure": self.follower.failure,
                "away": self.follower.away,
            },
            "key": self._signer.key.text,
        }

    def _show_figures(self) -> None:
        registry = self.monitor.registry

        def gauge(name: str, text: str) -> Gauge:
            return Gauge(name, text, registry=registry)

        def size() -> float:
            head = self.published.head
            return 0 if head is None else head.tree_size

        gauge("fleetlog_ledger_leaves", "Leaves under the newest signed head").set_function(size)
        gauge("fleetlog_ledger_head_age_seconds", "Age of the newest signed head").set_function(self._head_age)
        gauge("fleetlog_authority_active", "1 while this process decides").set_function(lambda: float(self.active))

    def _head_age(self) -> float:
        head = self.published.head
        return 0.0 if head is None else max(0.0, time.time() - head.occurred_at / 1e6)

    async def _care(self) -> None:
        """Ask for what the ledger lacks: an authority that was added since, or a fresh head."""
        if not self.active or not self.follower.caught_up:
            return
        try:
            for command in await asyncio.to_thread(self._lacking):
                await asyncio.to_thread(self._writer.write, COMMANDS, KEY, command)
        except Away as away:
            log.warning("the ledger can't be looked after: %s", away)

    async def _renew(self) -> None:
        """Keep the listeners' certificate and the root's list from expiring: this process has the keys, and may run for
        years. Listeners read the files again by themselves."""
        try:
            await asyncio.to_thread(pki.ensure, self._settings)
        except (Away, SettingError, OSError) as error:
            log.error("what is due can't be renewed: %s", error)

    def _lacking(self) -> list[Command]:
        known = self.published.authorities
        wanted: list[Command] = []
        for issuer in self._authority.authorities():
            if issuer.key_id not in known and self._due(f"authority {issuer.key_id}"):
                wanted.append(AddAuthority(certificate=issuer.certificate, **self._names(f"authority {issuer.key_id}")))
        if not wanted and self.published.head is not None and self._head_age() > self._settings.ledger_head_seconds:
            name = f"head {self.published.following}"
            if self._due(name):
                self._asked = {name: self._asked[name]}
                wanted.append(SignTreeHead(**self._names(name)))
        return wanted

    def _due(self, name: str) -> bool:
        """Whether it was not asked for just now."""
        now = time.monotonic()
        if now - self._asked.get(name, float("-inf")) < ASK_SECONDS:
            return False
        self._asked[name] = now
        return True

    def _names(self, name: str) -> CommandHeaders:
        """The same for the same want: asked for twice, it is done once."""
        identity = str(uuid5(NAMESPACE, name))
        now = time.time_ns() // 1000
        return CommandHeaders(command_id=identity, correlation_id=identity, actor="authority", issued_at=now)


def signer(settings: Settings) -> Signer:
    """What signs the ledger's heads.

    Raises:
        SettingError: the key's file, or the ledger's name, is not what it must be.
    """
    try:
        return Signer(settings.ledger_origin, LOG, pki.ledger_key(settings))
    except BadNote as bad:
        raise SettingError(f"FLEETLOG_LEDGER_ORIGIN: {bad}") from None


class Pages:
    """The HTTP service in a thread and an event loop of its own: what the decider does holds up no answer. Lives as long as
    the application (streams.live.Carrier)."""

    def __init__(self, process: AuthorityProcess, bound: socket.socket) -> None:
        self._process, self._bound = process, bound
        self._server = Server(ServiceOptions(), process.service.answer)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="authority-http", daemon=True)

    def start(self) -> None:
        self._process.follower.start()
        self._thread.start()

    async def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._server.stop)
        await asyncio.to_thread(self._thread.join)
        await asyncio.to_thread(self._process.follower.stop)
        self._process.entries.close()

    async def watch(self) -> None:
        """Once: nothing is served any more when the thread has ended."""
        if not self._thread.is_alive() and not self._server.stopping:
            raise RuntimeError("the authority's HTTP server has ended")

    def _serve(self) -> None:
        try:
            self._loop.run_until_complete(self._server.serve(self._bound))
        finally:
            self._loop.close()


def run(settings: Settings, index: int) -> int:
    """Run until a signal asks to stop; returns the exit code.

    Raises:
        PortTaken: the message names address and reason.
        SettingError: a key or a setting is not what it must be.
        Away: the keys' keeper does not answer.
    """
    with listen(settings.host, settings.authority_port) as bound:
        process = AuthorityProcess(settings, index)
        process.app.service(Carrier(Pages(process, bound)))
        worker = faust.Worker(process.app, loglevel=None, override_logging=False, redirect_stdouts=False, quiet=True)
        worker.spinner = None  # it writes to standard output, where only log lines belong
        worker.execute_from_commandline()
    return 0
