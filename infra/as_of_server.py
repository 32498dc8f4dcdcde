"""The process that folds the log for an ingress: questions come in on standard input, replies go out on standard output.

`python -m infra.as_of_server`, run by connectors.as_of_process. It ends with its input.
"""

import logging
import os
import sys
import time
from collections.abc import Iterator
from itertools import islice
from typing import Any, BinaryIO

import msgspec

from connectors.as_of import SIZE_BYTES, Question, Reply, framed
from connectors.corrections import BrokenCorrections
from connectors.ports import Away, Document
from connectors.view_snapshots import Unusable
from infra.as_of import Opened
from infra.logging import configure
from infra.settings import load
from projections.as_of import Moment, Untimed
from projections.canonical import document_leaf
from projections.catalogue import find
from projections.projection import KeyedProjection
from projections.updates import payloads
from streams.as_of import BeforeTheLog
from streams.as_of_rows import Place
from streams.snapshotting import LogTooShort

log = logging.getLogger(__name__)
MOST_KEPT = 2
"""Answers of the fleet that are kept to go on with: each holds the documents that the log's tail touches."""
_json = msgspec.json.Encoder().encode
Going = Iterator[tuple[str, Document]]


class Answerer:
    """Answers questions, one at a time."""

    def __init__(self, opened: Opened) -> None:
        self._opened = opened
        # The fleet from a key on, so that the next page of one answer is not folded anew.
        self._going: dict[tuple[str, Moment, str], Going] = {}

    def answer(self, question: Question) -> Reply:
        """The reply, whatever comes."""
        try:
            return self._answer(question)
        except Away as error:
            fault = Reply(question.number, fault="away", detail=str(error))
        except BeforeTheLog as error:
            fault = Reply(question.number, fault="before", detail=str(error))
        except (LogTooShort, Untimed, BrokenCorrections, Unusable) as error:
            fault = Reply(question.number, fault="gone", detail=str(error))
        except Exception:  # a bug: told as such, and logged whole; the next question is answered
            log.exception("a question could not be answered: %s", question)
            fault = Reply(question.number, fault="failed", detail="the fold of the log failed; the ingress's log says more")
        return fault

    def _answer(self, question: Question) -> Reply:
        view, moment = find(question.view), Moment(question.at, question.known)
        if not isinstance(view, KeyedProjection):
            try:
                begin = Place.parse(question.begin) if question.begin else None
            except ValueError as error:
                return Reply(question.number, fault="cursor", detail=str(error))
            if begin is not None and begin.source.topic not in view.topics:
                return Reply(question.number, fault="cursor", detail=f"{view.name} reads nothing of {begin.source}")
            rows, place = self._opened.rows(view).page(moment, question.key, begin, question.limit)
            return Reply(question.number, "rows", _json(rows), "" if place is None else str(place))
        if question.key is None:
            return self._fleet(view, moment, question)
        document, told = self._opened.documents(view).document(question.key, moment, question.everywhere)
        if document is None:
            return Reply(question.number, fault="nothing", detail=f"{view.name} has nothing of {question.key} by then")
        about = {"snapshot": told.snapshot, "records": told.records, "unusable": told.unusable}
        return Reply(question.number, "document", _json(_described(question.key, document) | about))

    def _fleet(self, view: KeyedProjection, moment: Moment, question: Question) -> Reply:
        going = self._going.pop((view.name, moment, question.begin), None) if question.begin else None
        try:
            page = list(islice(going, question.limit)) if going is not None else None
        except Unusable:  # its snapshot was dropped meanwhile
            page = None
        if page is None:
            going, _ = self._opened.documents(view).documents(moment, question.begin)
            page = list(islice(going, question.limit))
        following = page[-1][0] if len(page) == question.limit else ""
        if following and going is not None:
            while len(self._going) >= MOST_KEPT:
                self._going.pop(next(iter(self._going)))
            self._going[view.name, moment, following] = going
        return Reply(question.number, "documents", _json([_described(key, document) for key, document in page]), following)


def _described(key: str, document: Document) -> dict[str, Any]:
    return {"key": key, "hash": document_leaf(key, document).hex(), "fields": payloads(document)}


def serve(answerer: Answerer, incoming: BinaryIO, outgoing: BinaryIO) -> None:
    """Answer questions until the input ends."""
    while size := incoming.read(SIZE_BYTES):
        question = msgspec.msgpack.decode(incoming.read(int.from_bytes(size, "big")), type=Question)
        if time.monotonic() > question.until:
            continue  # nobody waits for it any more
        outgoing.write(framed(answerer.answer(question)))
        outgoing.flush()


def main() -> None:
    settings = load()
    configure("as-of", settings.log_level, sys.stderr)
    serve(Answerer(Opened(settings)), sys.stdin.buffer, sys.stdout.buffer)
    os._exit(0)  # clients' threads that are still at something hold nothing up


if __name__ == "__main__":
    main()
