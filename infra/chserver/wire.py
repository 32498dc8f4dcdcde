"""ClickHouse's binary primitives: integers of variable length, strings, and a reader that fetches what is missing."""

from collections.abc import Callable

from infra.chserver.errors import Code, broken

_LONGEST_VARINT = 10  # bytes of a 64-bit integer, seven bits each
MAX_NAME = 1 << 20  # bytes of names, types and setting values


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def string(text: str | bytes) -> bytes:
    """A string with its length. Text that came from a client in another encoding keeps its bytes."""
    raw = text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")
    return varint(len(raw)) + raw


def empty_source() -> bytes:
    """The source of a reader that has all its bytes already."""
    return b""


class Reader:
    """Bytes of a source, kept from the last `forget` on.

    `position` is where reading goes on in `buffer`. At most `limit` bytes are kept: a client that announces more is
    refused before memory is taken for it.
    """

    def __init__(self, source: Callable[[], bytes | bytearray | memoryview], limit: int, data: bytes = b"") -> None:
        self._source = source
        self.limit = limit
        self.buffer = bytearray(data)
        self.position = 0

    def more(self) -> None:
        """Fetch once from the source.

        Raises:
            EOFError: the source has ended.
        """
        got = self._source()
        if not got:
            raise EOFError
        self.buffer += got

    def skip(self, count: int) -> None:
        """Step over `count` bytes, fetching them where they are not there yet."""
        self.go_to(self.position + count)

    def go_to(self, end: int) -> None:
        """Make `end` the position, fetching what is missing before it."""
        if end > self.limit:
            raise broken(Code.TOO_LARGE_STRING_SIZE, f"Data of {end} bytes is more than the {self.limit} allowed at once")
        while len(self.buffer) < end:
            self.more()
        self.position = end

    def take(self, count: int) -> bytes:
        start = self.position
        self.skip(count)
        return bytes(memoryview(self.buffer)[start : self.position])

    def byte(self) -> int:
        self.skip(1)
        return self.buffer[self.position - 1]

    def integer(self, width: int) -> int:
        """An unsigned little-endian integer of `width` bytes."""
        return int.from_bytes(self.take(width), "little")

    def varint(self) -> int:
        number = 0
        for shift in range(0, 7 * _LONGEST_VARINT, 7):
            byte = self.byte()
            number |= (byte & 127) << shift
            if byte < 128:
                return number
        raise broken(Code.INCORRECT_DATA, "An integer is longer than 64 bits")

    def string(self, limit: int = MAX_NAME) -> str:
        """A string; bytes that are not UTF-8 survive a later encoding with `surrogateescape`."""
        size = self.varint()
        if size > limit:
            raise broken(Code.TOO_LARGE_STRING_SIZE, f"A string of {size} bytes is more than the {limit} allowed here")
        return self.take(size).decode("utf-8", "surrogateescape")

    def since(self, start: int) -> bytes:
        """A copy of the bytes from `start` to the position."""
        return bytes(memoryview(self.buffer)[start : self.position])

    @property
    def pending(self) -> int:
        """How many fetched bytes are not read yet."""
        return len(self.buffer) - self.position

    def forget(self) -> None:
        """Drop what was read."""
        if self.position == len(self.buffer):
            self.buffer.clear()
        else:
            del self.buffer[: self.position]
        self.position = 0
