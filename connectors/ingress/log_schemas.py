"""The schemas of a page's records, from the registry."""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from connectors.http.request import Fault
from connectors.ingress.delivery import RETRY_AFTER
from connectors.ingress.log_avro_values import ReadableReader
from connectors.ingress.log_values import framed_id
from connectors.ingress.schema_ids import SchemaIds, SchemaRefused
from connectors.pages import Page
from connectors.ports import Away, UnknownSchema
from schemas.avro_reader import BadSchema

log = logging.getLogger(__name__)

MOST_IN_PAGE = 20  # schemas; bytes that are no Avro may look like records of as many schemas as there are of them
MOST_KEPT = 500
UNKNOWN_SECONDS = 30.0  # until the registry is asked again for an id that it did not know
AWAY_SECONDS = 1.0
Reader = ReadableReader | str


def with_few_schemas(page: Page) -> tuple[Page, set[int]]:
    """A page up to the record that would be one of one schema too many, and its schema ids."""
    numbers: set[int] = set()
    for place, record in enumerate(page.records):
        here = {number for number in (framed_id(record.key), framed_id(record.value)) if number is not None}
        if place and len(numbers | here) > MOST_IN_PAGE:
            return page.cut(place), numbers
        numbers |= here
    return page, numbers


class LogSchemas:
    """Readers by schema id. Those of known ids are kept; the registry is asked for the others in a thread of its own."""

    def __init__(self, schemas: SchemaIds) -> None:
        self._schemas = schemas
        self._known: OrderedDict[int, Reader] = OrderedDict()
        self._unknown: dict[int, tuple[str, float]] = {}
        self._away: tuple[str, float] = ("", 0.0)
        self._thread = ThreadPoolExecutor(1, "log-schemas")

    async def readers(self, numbers: Iterable[int]) -> tuple[dict[int, Reader], bool]:
        """For each schema id how to read its bodies, or why that can't be; and whether the registry knows them all.

        Raises:
            Fault: 503 the registry does not answer, and one of them is not known.
        """
        found: dict[int, Reader] = {}
        for number in numbers:
            reader = self._kept(number)
            if reader is None:
                reader = await asyncio.get_running_loop().run_in_executor(self._thread, self._asked, number)
            found[number] = reader
        return found, not any(number in self._unknown for number in found)

    def _kept(self, number: int) -> Reader | None:
        reader = self._known.get(number)
        if reader is not None:
            self._known.move_to_end(number)
            return reader
        reason, until = self._unknown.get(number, ("", 0.0))
        return reason if time.monotonic() < until else None

    def _asked(self, number: int) -> Reader:
        """In the thread: asks the registry, unless that was done while this question waited."""
        kept = self._kept(number)
        if kept is not None:
            return kept
        reason, until = self._away
        if time.monotonic() < until:
            raise registry_away(reason)
        try:
            schema = self._schemas.schema(number)
        except (UnknownSchema, RecursionError) as unknown:
            if len(self._unknown) >= MOST_KEPT:
                self._unknown.clear()
            self._unknown[number] = str(unknown), time.monotonic() + UNKNOWN_SECONDS
            return str(unknown)
        except (Away, SchemaRefused) as away:
            self._away = str(away), time.monotonic() + AWAY_SECONDS
            raise registry_away(str(away)) from None
        self._unknown.pop(number, None)
        made: Reader
        try:
            made = ReadableReader(schema)
        except BadSchema as bad:
            made = f"schema {number} can't be read with: {bad}"
        self._known[number] = made
        if len(self._known) > MOST_KEPT:
            self._known.popitem(last=False)
        return made


def registry_away(reason: str) -> Fault:
    return Fault(503, "REGISTRY_UNAVAILABLE", reason, retry_after=RETRY_AFTER)
