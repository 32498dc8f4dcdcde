"""JSON objects that come one after the other, cut out of the bytes as they come.

Only braces and strings count here: what is between the braces of an object, its parser decides. Nothing is looked at twice
but the object within which the bytes in hand end, and of an object no more is kept than it may have.
"""

import re

_NESTED = 12  # braces within braces whose end one match finds; deeper ones are counted
_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_SPACE = re.compile(rb"[ \t\r\n]*+")
# A string that goes on beyond the bytes in hand ends with them; a backslash at their end is told apart, since it takes the
# next byte with it.
_TOKEN = re.compile(rb'[{}]|"[^"\\]*+(?:\\.[^"\\]*+)*+("|\\?\Z)', re.DOTALL)
_REST_OF_STRING = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+("|\\?\Z)', re.DOTALL)
_OPEN, _CLOSE = b"{}"


def _object(nested: int) -> bytes:
    """The pattern of an object. Each byte has one way to match, so that it never goes back."""
    between = rb'[^{}"]*+'
    pattern = rb"\{" + between + b"(?:" + _STRING + between + rb")*+\}"
    for _ in range(nested):
        pattern = rb"\{" + between + b"(?:(?:" + _STRING + b"|" + pattern + b")" + between + rb")*+\}"
    return pattern


_WHOLE = re.compile(rb"[ \t\r\n]*+(" + _object(_NESTED) + b")", re.DOTALL)


class Splitter:
    """Cuts a stream of bytes into objects of at most `limit` bytes.

    Attributes:
        number: of the object at which it is, from 1.
        begun: where that object begins, in bytes since the stream's begin.
        refused: why nothing from there on can be understood; empty while it can.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._pieces: list[bytes] = []
        self._size = 0  # of the object that has begun
        self._depth = 0
        self._in_string = self._escaped = False
        self._seen = 0
        self.number, self.begun = 1, 0
        self.refused = ""

    @property
    def held(self) -> int:
        """Bytes kept of the object that has begun."""
        return self._size if self._pieces else 0

    @property
    def within(self) -> bool:
        """Whether an object has begun that has not ended."""
        return self._depth > 0

    def feed(self, part: bytes) -> list[bytes | None]:
        """The objects that end within `part`, until one is refused; None for one that is larger than the limit."""
        found: list[bytes | None] = []
        if not part:
            return found
        at = self._finish(part, 0, found) if self._depth else 0
        while not self._depth and not self.refused:
            whole = _WHOLE.match(part, at)
            if whole is not None:
                at, text = whole.end(), whole[1]
                found.append(text if len(text) <= self._limit else None)
                self.number += 1
                continue
            space = _SPACE.match(part, at)
            at = space.end() if space else at
            self.begun = self._seen + at
            if at == len(part):
                break
            if part[at] == _OPEN:
                at = self._finish(part, at, found)
            else:
                self.refused = f"expected an object, got {part[at : at + 1]!r}"
        self._seen += len(part)
        return found

    def _finish(self, part: bytes, start: int, found: list[bytes | None]) -> int:
        """Look from `start` for the end of the object that begins there or has begun; where it, or what has come, ends."""
        end = self._end(part, start)
        self._size += end - start
        if self._size <= self._limit:
            self._pieces.append(part[start:end])
        else:
            self._pieces.clear()
        if not self._depth:
            found.append(b"".join(self._pieces) if self._size <= self._limit else None)
            self._pieces, self._size = [], 0
            self.number += 1
        return end

    def _end(self, part: bytes, start: int) -> int:
        at = self._end_of_string(part, start) if self._in_string else start
        depth = self._depth
        for token in _TOKEN.finditer(part, at):
            sign = part[token.start()]
            if sign == _OPEN:
                depth += 1
            elif sign == _CLOSE:
                depth -= 1
                if not depth:
                    self._depth = 0
                    return token.end()
            else:
                self._in_string, self._escaped = token[1] != b'"', token[1] == b"\\"
        self._depth = depth
        return len(part)

    def _end_of_string(self, part: bytes, start: int) -> int:
        """Where the string ends within which the bytes before ended, or what has come of it."""
        rest = _REST_OF_STRING.match(part, start + self._escaped)
        if rest is None:
            return len(part)
        self._in_string, self._escaped = rest[1] != b'"', rest[1] == b"\\"
        return rest.end()
