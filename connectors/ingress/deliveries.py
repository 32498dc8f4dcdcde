"""What a produce request comes to: records to write, and a way to tell what became of them."""

from collections.abc import Callable
from dataclasses import dataclass

from connectors.http.request import Answer
from connectors.ingress.delivery import Deadlines, Wait
from connectors.ingress.rest_writer import NotWritten, Record, RestWriter, Written

Outcomes = list[Written | NotWritten]


@dataclass(slots=True)
class Plan:
    """A request whose records are converted. The records are of one topic, which has so many `partitions`.

    `answer` makes the answer from their outcomes, in their order. It is to depend on nothing else that changes, so that
    the same outcomes, found in the log after a crash, give the same answer.
    """

    topic: str
    partitions: int
    records: list[Record]
    answer: Callable[[Outcomes], Answer]


class Deliveries:
    """Carries plans out, each record once."""

    def __init__(self, writer: RestWriter, deadlines: Deadlines) -> None:
        self.writer, self.deadlines = writer, deadlines

    async def deliver(self, plan: Plan) -> Answer:
        """Write the records and answer; at the deadline, with what is known by then. The plan is empty afterwards: what
        waits for the broker is held once."""
        wait = Wait()
        sent = [self.writer.send(record, plan.partitions, wait) for record in plan.records]
        plan.records.clear()
        await self.deadlines.wait(wait)
        return plan.answer([self.writer.told(one, self.deadlines.seconds) for one in sent])
