"""From a handler's document to an answer."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from connectors.http.request import Answer, Handler, Request
from connectors.registry_front.faults import refusal
from connectors.registry_front.media import GIVEN, negotiated

Documenting = Callable[[Request], Awaitable[Any]]
"""Returns a JSON document, or Bare."""


@dataclass(frozen=True, slots=True)
class Bare:
    """A text that is the whole answer."""

    text: str


def served(documenting: Documenting) -> Handler:
    """A handler that answers with the document, in the media type that the client prefers."""

    async def handler(request: Request) -> Answer:
        media = negotiated(request.accept)
        if media is None:
            raise refusal(406, f"HTTP 406 Not Acceptable: answers are {', '.join(one.decode() for one in GIVEN)}")
        document = await documenting(request)
        body = document.text.encode() if isinstance(document, Bare) else msgspec.json.encode(document)
        return Answer(body, content_type=media)

    return handler
