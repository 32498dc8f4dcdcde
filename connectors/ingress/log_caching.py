"""What is said of a page beside its records: links, bounds, and for how long it may be kept."""

import time
from hashlib import blake2b

from connectors.cluster import Cluster, Refusal, cleanup_policy
from connectors.http.request import Request
from connectors.ingress.log_pace import paced
from connectors.ingress.log_query import Asked
from connectors.pages import Page
from connectors.ports import Away
from schemas.log import TopicPartition

Header = tuple[bytes, bytes]
FORM_VERSION = b"1"  # to be changed with the bytes that are made of a page
VARY = (b"vary", b"Accept, X-API-Key, Authorization")
CHANGING = (b"cache-control", b"private, no-cache")
LASTING = (b"cache-control", b"private, max-age=86400, immutable")
POLICY_SECONDS = 60.0


def bounds_headers(first: int, end: int) -> list[Header]:
    """What the log holds just now. It stands in headers, since a page's body never changes."""
    return [(b"log-first-offset", b"%d" % first), (b"log-end-offset", b"%d" % end)]


def link_header(address: str, relation: str) -> Header:
    return b"link", f'<{address}>; rel="{relation}"'.encode()


def page_headers(source: TopicPartition, page: Page, wanted: Asked, tag: bytes, lasting: bool) -> list[Header]:
    return [
        link_header(wanted.link(source, page.following), "next"),
        (b"content-location", wanted.link(source, page.start, waiting=False).encode()),
        *bounds_headers(page.first, page.end),
        (b"etag", tag),
        LASTING if lasting else CHANGING,
        VARY,
    ]


def entity_tag(source: TopicPartition, page: Page, wanted: Asked, known: bool) -> bytes:
    """The same for the same bytes; it is made of the records, so that nothing needs to be decoded for it."""
    found = blake2b(FORM_VERSION, digest_size=16)
    next_link = wanted.link(source, page.following)
    found.update(f"{wanted.media_type!r} {wanted.decoded} {known} {source} {page.start} {page.full} {next_link}".encode())
    for record in paced(page.records):
        found.update(repr(tuple(record)).encode())
    return b'"%s"' % found.hexdigest().encode()


def is_known(request: Request, tag: bytes) -> bool:
    """Whether the client has it already (RFC 9110, 13.1.2)."""
    given = request.headers.get(b"if-none-match", b"").strip()
    return given == b"*" or any(one.strip().removeprefix(b"W/") == tag for one in given.split(b","))


class Policies:
    """Whether topics lose records in the middle: compacted ones do."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._found: dict[str, tuple[bool, float]] = {}

    async def keeps_all(self, topic: str) -> bool:
        """Whether a page stays as it is; asked again after a while. False where the cluster does not say."""
        keeps, until = self._found.get(topic, (False, 0.0))
        if time.monotonic() < until:
            return keeps
        try:
            settings = (await self._cluster.settings([topic])).get(topic, ())
        except (Away, Refusal):
            settings = ()
        policy = cleanup_policy(settings)
        keeps = policy is not None and "compact" not in policy
        self._found[topic] = keeps, time.monotonic() + POLICY_SECONDS
        return keeps
