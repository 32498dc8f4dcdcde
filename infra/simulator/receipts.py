"""What the answers to uploads come to: noted in the journal and the tally."""

from collections.abc import Sequence
from dataclasses import dataclass

from infra.simulator import api
from infra.simulator.delivery import Delivery, Upload
from infra.simulator.http import Response
from infra.simulator.journal import JournalWriter
from infra.simulator.tally import Tally


@dataclass(frozen=True)
class Receipts:
    """Takes answers."""

    tally: Tally
    journal: JournalWriter

    def settled(self, delivery: Delivery, response: Response) -> bool:
        """Take an answer; False if the delivery is to be tried again."""
        upload = delivery.upload
        verdicts = api.verdicts(upload.kind, upload.count, response.status, response.body)
        refusals = [verdict for verdict in verdicts if isinstance(verdict, api.Refused)]
        later = any(refusal.later for refusal in refusals)
        if delivery.broken:
            accepted = 0 if later else upload.count - len(refusals)
            if accepted:
                self.tally.errors["broken upload accepted"] += accepted
                self.tally.refused += accepted  # whatever the ingress made of it, it is not what was sent
            return not later
        self._acknowledge(upload, verdicts)
        for refusal in refusals:
            self.tally.errors[refusal.why] += 1
        if not later:
            self.tally.refused += len(refusals)
        return not later

    def _acknowledge(self, upload: Upload, verdicts: Sequence[api.Verdict]) -> None:
        fresh = []
        for i, verdict in enumerate(verdicts):
            if isinstance(verdict, api.Refused):
                continue
            position = (verdict.partition, verdict.offset)
            known = upload.positions.setdefault(i, position)
            if known is position:
                self.tally.acknowledged += 1
            elif known != position:
                self.tally.errors["retry answered with another position"] += 1
            if known is position or known != position:
                fresh.append((upload.first + i, *position))
        if fresh:
            self.journal.acknowledged(upload.kind, upload.boot, fresh)
