"""What a produce request comes to: records to write, and a way to tell what became of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from connectors.http.request import Answer
from connectors.ingress.delivery import Deadlines, Wait
from connectors.ingress.rest_writer import NotWritten, Pending, Record, RestWriter, Written

Outcomes = list[Written | NotWritten]


@dataclass(slots=True)
class Plan:
    """A request whose records are converted. They are of one topic, which has so many `partitions`.

    In the place of a record that can't be written stands why; the same body is to give the same number of places, so that
    a record is known by its place when the request comes again.

    `answer` makes the answer from the outcomes, in their order. It is to depend on nothing else that changes, so that the
    same outcomes, found in the log after a crash, give the same answer.
    """

    topic: str
    partitions: int
    records: Sequence[Record | NotWritten]
    answer: Callable[[Outcomes], Answer]

    @property
    def writes(self) -> bool:
        """Whether there is anything to write."""
        return any(isinstance(record, Record) for record in self.records)


class Deliveries:
    """Carries plans out, each record once."""

    def __init__(self, writer: RestWriter, deadlines: Deadlines) -> None:
        self.writer, self.deadlines = writer, deadlines

    async def deliver(self, plan: Plan) -> Answer:
        """Write the records and answer; at the deadline, with what is known by then."""
        wait = Wait()
        sent = [self.send(record, plan, wait) for record in plan.records]
        plan.records = ()  # what waits for the broker is held once, by the client library
        await self.deadlines.wait(wait)
        return plan.answer([self.told(one) for one in sent])

    def send(self, record: Record | NotWritten, plan: Plan, wait: Wait) -> Pending | NotWritten:
        """Hand over one record of a plan, if it is one; `wait` is made to wait for it."""
        return record if isinstance(record, NotWritten) else self.writer.send(record, plan.partitions, wait)

    def told(self, sent: Pending | NotWritten) -> Written | NotWritten:
        """Its outcome at the end of the wait."""
        return sent if isinstance(sent, NotWritten) else self.writer.told(sent, self.deadlines.seconds)
