"""The port for views as of a time, as a process asks that answers requests; and what goes between it and the process that
folds, which connectors.as_of_process speaks to."""

from collections.abc import Sequence
from typing import Literal, Protocol

import msgspec

Fault = Literal["", "nothing", "before", "gone", "away", "cursor", "failed"]
Kind = Literal["document", "documents", "rows"]
SIZE_BYTES = 4
"""In front of every message, most significant byte first."""


class Question(msgspec.Struct, array_like=True):
    """What was the state at `at`, as it was known at `known` (microseconds since 1970 UTC)?

    `key`: of one document, or of the rows of one key. Of many, about `limit` at most, from `begin` on: a reply's
    `following`, or empty. Nobody waits for the reply after `until`, by the clock time.monotonic, which all processes share.
    """

    view: str
    at: int
    known: int
    key: str | None = None
    begin: str = ""
    limit: int = 100
    everywhere: bool = False
    number: int = 0
    until: float = 0.0


class Reply(msgspec.Struct, array_like=True):
    """The state as JSON: of one `document` an object, of `documents` and `rows` an array. `following`: where the next ones
    begin; empty after the last.

    `fault`: "nothing" is known of the key by then; the time is "before" the log begins; the log no longer has what is
    needed ("gone"); something does not answer ("away"); the "cursor" is none; a bug ("failed"). `detail` says more.
    """

    number: int
    kind: Kind = "document"
    body: bytes = b""
    following: str = ""
    fault: Fault = ""
    detail: str = ""


class AsOfReader(Protocol):
    """Views as of times."""

    def topics(self, view: str) -> Sequence[str]:
        """The topics that a view is made of; empty where there is no such view."""

    async def ask(self, question: Question) -> Reply:
        """
        Raises:
            Away: no reply in time; Busy: too many questions wait for one.
        """

    async def close(self) -> None: ...


def framed(message: msgspec.Struct) -> bytes:
    body = msgspec.msgpack.encode(message)
    return len(body).to_bytes(SIZE_BYTES, "big") + body
