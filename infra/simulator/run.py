"""A run of the simulator: takes what is due, sends it, sends it again until it is acknowledged."""

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from infra.device.calls import Unreachable as NoAnswer
from infra.simulator import api
from infra.simulator.admission import Admission, Joiner, Outcome
from infra.simulator.content import Content
from infra.simulator.delivery import Delivery, Upload, deliveries
from infra.simulator.device import FIRMWARE, Device, Fields
from infra.simulator.fleet import MOST_ROWS, Member, Plan
from infra.simulator.host import Host
from infra.simulator.http import Lost, Response
from infra.simulator.journal import RECORDS, JournalWriter, Kind
from infra.simulator.lines import Lines
from infra.simulator.receipts import Receipts
from infra.simulator.schedule import Schedule
from infra.simulator.tally import Tally
from schemas.contract import Contract

UNAUTHORIZED = (401, 403)


class Unreachable(Exception):
    """The ingress never answered, for as long as the run had patience."""


class NotAllowed(Exception):
    """The ingress does not take the API key."""


@dataclass(frozen=True, slots=True)
class Turn:
    """It is a device's turn to make an upload: for telemetry of so many rows each."""

    member: Member
    kind: Kind
    rows: tuple[int, ...] = ()


Item = Turn | Delivery
JOIN_AGAIN_SECONDS = 2.0


class Simulation:
    """One run. Make it, `await run()`, read `tally`. Without a joiner an API key speaks for all devices."""

    def __init__(
        self,
        plan: Plan,
        members: Sequence[Member],
        journal: JournalWriter,
        lines: Lines,
        contract: Contract,
        joiner: Joiner | None = None,
    ) -> None:
        self.tally = Tally(devices=len(members))
        self._plan, self._members, self._journal, self._lines = plan, members, journal, lines
        self._admission = Admission(joiner, journal, self.tally) if joiner is not None else None
        self._receipts = Receipts(self.tally, journal)
        self._contents = {kind: Content(contract.records[name]) for kind, name in RECORDS.items()}
        self._chance = random.Random(plan.seed)
        self._schedule: Schedule[Item] = Schedule()
        self._by_device = {member.device: member for member in members}
        self._host = Host()
        self._stopping = asyncio.Event()
        self._started = time.monotonic()

    @property
    def stopping(self) -> bool:
        """Whether no new uploads are made any more."""
        return self._stopping.is_set()

    def stop(self) -> None:
        """Make no new uploads; those under way are still delivered."""
        self._stopping.set()

    async def run(self, report: Callable[[Tally], None], every: float) -> None:
        """Run until the plan's end or `stop`, then deliver what is outstanding. `report` is called `every` seconds.

        Raises:
            Unreachable, NotAllowed.
        """
        self._started = self.tally.started = time.monotonic()
        if self._admission is not None:
            try:
                await self._admission.pre_register([member.device for member in self._members])
            except NoAnswer as away:
                raise Unreachable(str(away)) from None
        for member in self._members:
            if self._admission is None:
                member.device.start(self._journal)
            self._schedule.add(self._started + member.phase * self._plan.join, Turn(member, Kind.REGISTRATION))
        try:
            async with asyncio.TaskGroup() as tasks:
                workers = [tasks.create_task(self._work()) for _ in range(self._plan.connections)]
                reports = tasks.create_task(self._report(report, every))
                await self._last(workers)
                reports.cancel()
                self._schedule.close()
        except ExceptionGroup as failed:  # one reason is enough, and a task's failure has cancelled the others
            raise failed.exceptions[0] from None
        finally:
            self._lines.close()
        if self.tally.requests and not self.tally.answered:
            raise Unreachable(self.tally.silent)

    async def _last(self, workers: "Sequence[asyncio.Task[None]]") -> None:
        """Wait for the end of making, then of delivering."""
        try:
            async with asyncio.timeout(self._plan.seconds):
                await self._stopping.wait()
        except TimeoutError:
            self._stopping.set()
        self._hurry()
        give_up = time.monotonic() + self._plan.drain
        while self.tally.outstanding and time.monotonic() < give_up and not all(worker.done() for worker in workers):
            await asyncio.sleep(0.05)
        for worker in workers:
            worker.cancel()

    def _hurry(self) -> None:
        """Nothing is held back any longer, and whose turn it is makes nothing any more, but that it becomes a member if it
        has begun to."""
        now = time.monotonic()
        for due, item in self._schedule.clear():
            if isinstance(item, Delivery):
                self._schedule.add(due if item.tries else now, item)
            elif self._joins(item):
                self._schedule.add(due, item)

    def _joins(self, turn: Turn) -> bool:
        """Whether it is the turn of a device that has begun to join."""
        return self._admission is not None and self._admission.begun(turn.member.device)

    async def _report(self, report: Callable[[Tally], None], every: float) -> None:
        while True:
            await asyncio.sleep(every)
            report(self.tally)
            if not self.tally.answered and self.tally.seconds > self._plan.patience:
                raise Unreachable(self.tally.silent)

    # --- sending

    async def _work(self) -> None:
        while (item := await self._schedule.next()) is not None:
            if isinstance(item, Delivery):
                await self._deliver(item)
            elif self._joins(item) or not self._stopping.is_set():
                if item.kind is Kind.REGISTRATION and self._admission is not None:
                    await self._join(self._admission, item)
                else:
                    self._take(item)

    async def _join(self, admission: Admission, turn: Turn) -> None:
        match await admission.admit(turn.member.device):
            case Outcome.JOINED:
                self._registered(turn.member)
            case Outcome.LATER:
                self._schedule.add(time.monotonic() + JOIN_AGAIN_SECONDS, turn)

    async def _deliver(self, delivery: Delivery) -> None:
        tally, device = self.tally, delivery.upload.device
        connection = self._lines.take(device)
        tally.in_flight += 1
        tally.requests += 1
        device.tries += 1
        cut, delivery.cut = delivery.cut, None
        began = time.perf_counter()
        try:
            response = await connection.post(delivery.upload.path, delivery.body, cut)
        except Lost as lost:
            if cut is None:
                tally.errors[lost.reason] += 1
            device.errors += 1
            self._again(delivery, 0.0)
        else:
            tally.answered = True
            seconds = time.perf_counter() - began
            device.latency, device.throughput = 1000 * seconds, 8 * len(delivery.body) / seconds
            self._answered(delivery, response)
        finally:
            tally.in_flight -= 1
            self._lines.give(device, connection)

    def _again(self, delivery: Delivery, retry_after: float) -> None:
        self.tally.retries += 1
        delivery.tries += 1
        delivery.due = time.monotonic() + delivery.pause(retry_after, self._chance)
        self._schedule.add(delivery.due, delivery)

    def _answered(self, delivery: Delivery, response: Response) -> None:
        if response.status in UNAUTHORIZED:
            raise NotAllowed(f"the ingress answers {response.status}: set FLEETLOG_API_KEY to its key")
        if self._receipts.settled(delivery, response):
            self._done(delivery)
        else:
            self._again(delivery, response.retry_after)

    def _done(self, delivery: Delivery) -> None:
        self.tally.outstanding -= 1
        if delivery.follows:
            self._follow(delivery.upload)

    # --- making

    def _follow(self, upload: Upload) -> None:
        """What a device does after an upload."""
        if self._stopping.is_set():
            return
        member = self._by_device[upload.device]
        now = time.monotonic()
        match upload.kind:
            case Kind.REGISTRATION if upload.positions:
                self._registered(member)
            case Kind.TELEMETRY:
                self._next_telemetry(member)
            case Kind.HEARTBEAT:
                self._schedule.add(now + self._plan.heartbeat, Turn(member, Kind.HEARTBEAT))
            case Kind.EVENT:
                upload.device.events_sent += 1

    def _registered(self, member: Member) -> None:
        self.tally.registered += 1
        self._event(member, "started", {"firmware_version": FIRMWARE})
        self._schedule.add(time.monotonic() + member.phase * self._plan.heartbeat, Turn(member, Kind.HEARTBEAT))
        self._next_telemetry(member)

    def _next_telemetry(self, member: Member) -> None:
        rows = tuple(self._chance.randint(1, MOST_ROWS) for _ in range(self._plan.batch))
        # Never in the past: a fleet that is behind its time would have no turn left for heartbeats.
        due = max(time.monotonic(), self._started + member.due(sum(rows)))
        self._schedule.add(due, Turn(member, Kind.TELEMETRY, rows))

    def _take(self, turn: Turn) -> None:
        member, device = turn.member, turn.member.device
        match turn.kind:
            case Kind.REGISTRATION:
                self._upload(member, turn.kind, 0, [device.registration()])
            case Kind.HEARTBEAT:
                fields = device.heartbeat(self._host.recent())
                self._upload(member, turn.kind, fields["sequence"], [fields])
            case _:
                self._telemetry(member, turn.rows)

    def _telemetry(self, member: Member, rows: Sequence[int]) -> None:
        device = member.device
        if self._plan.faults.reboot and self._chance.random() < self._plan.faults.reboot:
            self.tally.injected["reboot"] += 1
            device.start(self._journal)
            self._event(member, "started", {"firmware_version": FIRMWARE})
        uploads = []
        for count in rows:
            fields, events = device.telemetry(count)
            uploads.append(fields)
            self.tally.readings += len(fields["readings"])
            for event in events:
                self._upload(member, Kind.EVENT, event["sequence"], [event])
        self._upload(member, Kind.TELEMETRY, uploads[0]["sequence"], uploads)

    def _event(self, member: Member, event_type: str, metadata: Fields) -> None:
        event = member.device.event(event_type, metadata)
        self._upload(member, Kind.EVENT, event["sequence"], [event])

    def _upload(self, member: Member, kind: Kind, first: int, uploads: Sequence[Fields]) -> None:
        """Journal an upload and put its deliveries on the schedule."""
        device: Device = member.device
        upload = Upload(device, kind, device.boot, first, len(uploads), api.path(kind, device.id), api.body(uploads))
        self._journal.sent(kind, device.boot, first, [self._contents[kind].digest(fields) for fields in uploads])
        self.tally.sent += len(uploads)
        errands = list(deliveries(upload, self._plan.faults, member.pace, self._chance, self._note))
        for errand in errands:
            self.tally.outstanding += 1
            self._schedule.add(errand.due, errand)
        if not any(errand.follows for errand in errands):
            self._follow(upload)

    def _note(self, fault: str) -> None:
        self.tally.injected[fault] += 1
