"""The bounds that a server keeps."""

from typing import Protocol


class Limits(Protocol):
    """Sizes are bytes, durations seconds."""

    @property
    def max_head_bytes(self) -> int:
        """Of a request line and its headers."""

    @property
    def max_body_bytes(self) -> int:
        """Of a body, as sent and inflated."""

    @property
    def max_gzip_ratio(self) -> float:
        """How many times larger than sent a body may inflate to."""

    @property
    def max_buffered_bytes(self) -> int:
        """Of the bodies of all requests together, while they are read."""

    @property
    def max_connections(self) -> int: ...

    @property
    def read_seconds(self) -> float:
        """A request must have come in whole by then; of one that is answered as it comes, the next part."""

    @property
    def request_deadline(self) -> float:
        """An answer takes no longer than this."""
