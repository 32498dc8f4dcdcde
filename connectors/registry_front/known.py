"""What can never change, kept for when the registry behind is away: the schema of an id, the id of a registered schema."""

from collections import OrderedDict
from collections.abc import Hashable
from http import HTTPStatus
from typing import Any

import msgspec

from connectors.http.request import Fault


class Known:
    """Answers that were given, by what was asked; the ones not used for longest are forgotten first.

    Attributes:
        recalled: how many were given while the registry behind was away.
    """

    def __init__(self, most: int, most_bytes: int) -> None:
        self._most, self._most_bytes = most, most_bytes
        self._answers: OrderedDict[Hashable, bytes] = OrderedDict()
        self._bytes = 0
        self.recalled = 0

    def __len__(self) -> int:
        return len(self._answers)

    def keep(self, asked: Hashable, answer: Any) -> None:
        """Remember a JSON document."""
        text = msgspec.json.encode(answer)
        self.forget(asked)
        self._answers[asked] = text
        self._bytes += len(text)
        while len(self._answers) > self._most or self._bytes > self._most_bytes:
            _, oldest = self._answers.popitem(last=False)
            self._bytes -= len(oldest)

    def find(self, asked: Hashable) -> Any:
        """The document; None if there is none."""
        text = self._answers.get(asked)
        if text is None:
            return None
        self._answers.move_to_end(asked)
        return msgspec.json.decode(text)

    def recall(self, asked: Hashable, fault: Fault) -> Any:
        """The document, in the place of a fault of a registry that is away.

        Raises:
            Fault: as given: it is another fault, or there is no document.
        """
        found = self.find(asked) if fault.status == HTTPStatus.SERVICE_UNAVAILABLE else None
        if found is None:
            raise fault
        self.recalled += 1
        return found

    def forget(self, asked: Hashable) -> None:
        self._bytes -= len(self._answers.pop(asked, b""))
