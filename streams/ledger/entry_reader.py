"""The entries behind the leaves, read from the log by position."""

import threading
from collections import OrderedDict
from collections.abc import Callable

from connectors.ports import LogReader
from schemas.messages import Messages
from schemas.transparency.entries import Leaf, as_leaf, canonical
from schemas.transparency.tiles import WIDTH, bundle_of
from streams.ledger.published import SOURCE, Published

KEPT_BUNDLES = 16  # of full width, about 600 kB each


class EntryReader:
    """For several threads; one reads at a time. Full bundles never change, so the newest that were asked for are kept."""

    def __init__(self, published: Published, make_reader: Callable[[], LogReader], codec: Messages) -> None:
        self._published, self._make_reader, self._codec = published, make_reader, codec
        self._lock = threading.Lock()
        self._reader: LogReader | None = None
        self._bundles: OrderedDict[int, bytes] = OrderedDict()

    def bundle(self, number: int, width: int) -> bytes:
        """An entry bundle of tlog-tiles.

        Raises:
            OutOfRange: the tree is too small for it.
            Away: the broker does not answer.
        """
        offsets = self._published.offsets(number * WIDTH, width)
        with self._lock:
            known = self._bundles.get(number) if width == WIDTH else None
            if known is None:
                known = bundle_of(canonical(leaf) for leaf in self._leaves(offsets))
                if width == WIDTH:
                    self._bundles[number] = known
                    if len(self._bundles) > KEPT_BUNDLES:
                        self._bundles.popitem(last=False)
        return known

    def leaf(self, index: int) -> Leaf:
        """The event of a leaf; errors as `bundle`."""
        offsets = self._published.offsets(index, 1)
        with self._lock:
            return self._leaves(offsets)[0]

    def _leaves(self, offsets: list[int]) -> list[Leaf]:
        if self._reader is None:
            self._reader = self._make_reader()
        wanted, found = set(offsets), []
        for batch in self._reader.read(SOURCE, offsets[0], offsets[-1] + 1):
            for offset, value in zip(batch.offsets, batch.values, strict=True):
                leaf = as_leaf(self._codec.decode(value)) if offset in wanted else None
                if leaf is not None:
                    found.append(leaf)
        if len(found) != len(offsets):
            raise LookupError(f"the log no longer holds the leaves at offsets {offsets[0]} to {offsets[-1]}")
        return found

    def close(self) -> None:
        with self._lock:
            if self._reader is not None:
                self._reader.close()
