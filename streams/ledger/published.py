"""The ledger as it is shown: the fold of fleet.certificates up to its newest signed head, in whatever process reads it.

A reader of its own, apart from the decider's: so that the process that waits to take over answers as well.
"""

import logging
import threading
from array import array
from collections.abc import Callable
from typing import NamedTuple

from connectors.authority.port import Revoked, Status
from connectors.ports import Away, LogReader
from schemas.certificate_messages import CertificateRevoked, TreeHeadSigned
from schemas.log import TopicPartition
from schemas.messages import Event, Messages
from schemas.transparency.entries import Leaf, as_leaf
from schemas.transparency.merkle import OutOfRange
from schemas.transparency.tiles import Tile, tile_of
from streams.ledger.state import Certificate, LedgerState

log = logging.getLogger(__name__)
SOURCE = TopicPartition("fleet.certificates", 0)
POLL_SECONDS = 0.1
AWAY_SECONDS = 1.0


class Proven(NamedTuple):
    """A leaf with its proof against the newest head."""

    leaf_index: int
    proof: list[bytes]
    head: TreeHeadSigned


class Published:
    """For several threads. What is not under a signed head yet is not shown."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._state = LedgerState()
        self._offsets = array("q")
        self._revoked: dict[str, dict[str, Revoked]] = {}
        self._head: TreeHeadSigned | None = None
        self.following = 0

    def fold(self, event: Event, offset: int) -> None:
        """The next event of the log.

        Raises:
            Misplaced: the log was tampered with.
        """
        with self._lock:
            leaf = as_leaf(event)
            if leaf is not None:
                self._state.enter(leaf)
                self._state.forget()
                self._offsets.append(offset)
                self._note_revocation(leaf)
            elif isinstance(event, TreeHeadSigned):
                self._state.check_head(event)
                self._head = event
            self.following = offset + 1

    def _note_revocation(self, leaf: Leaf) -> None:
        if isinstance(leaf, CertificateRevoked):
            known = self._state.certificates.get(leaf.serial)
            assert known is not None
            revoked = Revoked(leaf.serial, leaf.occurred_at, leaf.reason, known.not_after)
            self._revoked.setdefault(known.issuer_key_id, {})[leaf.serial] = revoked

    @property
    def head(self) -> TreeHeadSigned | None:
        return self._head

    @property
    def authorities(self) -> frozenset[str]:
        """Key ids of the issuing authorities that are entered."""
        with self._lock:
            return self._state.authorities.keys()

    def tile(self, tile: Tile) -> bytes:
        """
        Raises:
            OutOfRange: the tree under the newest head is too small for it.
        """
        with self._lock:
            size = 0 if self._head is None else self._head.tree_size
            if (tile.number * 256 + tile.width) << (8 * (tile.level or 0)) > size:
                raise OutOfRange(f"the tree of {size} leaves has no such tile")
            return tile_of(self._state.tree, tile)

    def offsets(self, first: int, count: int) -> list[int]:
        """Where in the log the events of leaves are.

        Raises:
            OutOfRange: the tree under the newest head has fewer leaves.
        """
        with self._lock:
            size = 0 if self._head is None else self._head.tree_size
            if not 0 <= first < first + count <= size:
                raise OutOfRange(f"the tree of {size} leaves has no leaves {first} to {first + count - 1}")
            return self._offsets[first : first + count].tolist()

    def certificate(self, serial: str) -> Certificate | None:
        with self._lock:
            return self._state.certificates.get(serial)

    def proven(self, leaf_index: int) -> Proven:
        """
        Raises:
            OutOfRange: the leaf is under no signed head yet.
        """
        with self._lock:
            head = self._head
            if head is None or leaf_index >= head.tree_size:
                raise OutOfRange(f"leaf {leaf_index} is under no signed head yet")
            return Proven(leaf_index, self._state.tree.inclusion(leaf_index, head.tree_size), head)

    def revoked(self, issuer_key_id: str) -> list[Revoked]:
        """The revoked certificates of an issuer."""
        with self._lock:
            return list(self._revoked.get(issuer_key_id, {}).values())

    def status(self, issuer_key_id: str, serial: str) -> Status | None:
        """See `connectors.authority.port.Statuses`."""
        with self._lock:
            known = self._state.certificates.get(serial)
            if known is None or known.issuer_key_id != issuer_key_id:
                return None
            return Status(self._revoked.get(issuer_key_id, {}).get(serial))


class Follower:
    """Folds the log as it grows, in a thread of its own.

    Attributes:
        failure: why it stopped for good; empty while it goes on.
        caught_up: it was at the log's end once.
    """

    def __init__(self, published: Published, make_reader: Callable[[], LogReader], codec: Messages) -> None:
        self._published, self._make_reader, self._codec = published, make_reader, codec
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ledger-follower", daemon=True)
        self.failure = ""
        self.away = "the log was not read yet"
        self.caught_up = False

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()

    def step(self, reader: LogReader) -> None:
        """Fold what is there.

        Raises:
            Away: the broker or the registry does not answer.
            Misplaced: the log was tampered with.
        """
        bounds = reader.bounds([SOURCE.topic])
        _, stop = bounds[SOURCE]
        for batch in reader.read(SOURCE, self._published.following, stop):
            for offset, value in zip(batch.offsets, batch.values, strict=True):
                message = self._codec.decode(value)
                if isinstance(message, Event):
                    self._published.fold(message, offset)
        self._published.following = max(self._published.following, stop)
        self.away, self.caught_up = "", True

    def _run(self) -> None:
        reader = self._make_reader()
        try:
            while not self._stopping.is_set():
                pause = POLL_SECONDS
                try:
                    self.step(reader)
                except Away as away:
                    self.away, pause = str(away), AWAY_SECONDS
                    log.warning("the ledger waits: %s", away)
                self._stopping.wait(pause)
        except Exception as error:  # the log is not what it must be: what was shown stays, and nothing is added
            self.failure = f"{type(error).__name__}: {error}"
            log.critical("the ledger is no longer followed: %s", self.failure, exc_info=error)
        finally:
            reader.close()
