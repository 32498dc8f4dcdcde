"""Gzip that comes part by part and has no end that is known, inflated as it comes, in steps of bounded size."""

import zlib
from collections.abc import Iterator

from connectors.http.body import GZIP_WINDOW, INFLATE_STEP, RATIO_FLOOR
from connectors.http.request import Fault


class Inflating:
    """Inflates gzip members, one after the other, to at most `ratio` times the size of what has come."""

    def __init__(self, ratio: float) -> None:
        self._ratio = ratio
        self._came = self._made = 0
        self._member = zlib.decompressobj(GZIP_WINDOW)
        self._within = False  # a member has begun that has not ended

    @property
    def whole(self) -> bool:
        """Whether what has come ends where a member does."""
        return not self._within and self._came > 0

    def feed(self, part: bytes) -> Iterator[bytes]:
        """What comes of `part`: pieces of at most INFLATE_STEP bytes, also empty ones.

        Raises:
            Fault: 400 it is no gzip, 413 it inflates to too much.
        """
        self._came += len(part)
        allowed = max(int(self._came * self._ratio), RATIO_FLOOR)
        rest = part
        while rest:
            try:
                made = self._member.decompress(rest, INFLATE_STEP)
            except zlib.error as error:
                raise Fault(400, "BAD_GZIP", f"the body is not gzip: {error}") from None
            self._within = True
            self._made += len(made)
            if self._made > allowed:
                raise Fault(413, "BODY_TOO_LARGE", f"the body inflates to more than {self._ratio:g} times its size")
            rest = self._member.unconsumed_tail
            if self._member.eof:
                rest, self._member, self._within = self._member.unused_data, zlib.decompressobj(GZIP_WINDOW), False
            yield made
