"""What all handlers of Kafka-REST v3 begin with: the cluster that is asked about, who may what, the body."""

from collections.abc import Sequence
from typing import TypeVar

import msgspec

from connectors.cluster import Cluster, PartitionState
from connectors.http.body import BodyReader, too_deep
from connectors.http.request import Answer, Fault, Request
from connectors.ingress.cluster_faults import told
from connectors.ingress.device_api import malformed
from connectors.ingress.rest_topics import TOPIC_NAME, RestTopics, forbidden, no_topic
from connectors.ingress.v3_cluster import check_cluster
from connectors.ingress.v3_links import Links, base_url

T = TypeVar("T")
_encoder = msgspec.json.Encoder()


class V3Scope:
    """The cluster, behind the access of each caller. `own_url` is used in links where a request names no host."""

    def __init__(self, topics: RestTopics, cluster: Cluster, bodies: BodyReader, own_url: str, max_depth: int) -> None:
        self.topics, self.cluster = topics, cluster
        self._bodies, self._own_url, self._max_depth = bodies, own_url, max_depth

    async def links(self, request: Request) -> Links:
        """Links for the answer.

        Raises:
            Fault: 406 it takes no JSON, 404 the path names another cluster, 503 the broker is away.
        """
        if not _takes_json(request.accept):
            raise Fault(406, "NOT_ACCEPTABLE", "answers are application/json")
        self.topics.check_broker()
        identity = await told(self.cluster.identity())
        if request.arguments:
            await check_cluster(self.cluster, request.arguments[0])
        return Links(base_url(request.headers.get(b"host", b""), self._own_url), identity)

    async def partitions(self, caller: str, topic: str) -> Sequence[PartitionState]:
        """The partitions of a topic that the caller may see; raises Fault 403, 404, 503."""
        self.topics.check_seen(caller, topic)
        return await self.there(topic)

    async def managed(self, caller: str, topic: str) -> Sequence[PartitionState]:
        """The partitions of a topic that the caller may change; raises Fault 403, 404, 503."""
        self.check_managed(caller, topic)
        return await self.there(topic)

    async def there(self, topic: str) -> Sequence[PartitionState]:
        """The partitions of a topic; raises Fault 404, 503."""
        found = await told(self.cluster.partitions(topic)) if TOPIC_NAME.fullmatch(topic) else None
        if found is None:
            raise no_topic(topic)
        return found

    def check_managed(self, caller: str, topic: str) -> None:
        """Raises Fault 403."""
        if not self.topics.access.may_manage(caller, topic):
            raise forbidden(topic)

    async def body(self, request: Request, form: type[T]) -> T:
        """The body of a request.

        Raises:
            Fault: 415 it is no JSON by its type, 400 it is none, or not of this form; 413.
        """
        if request.content_type.partition(b";")[0].strip().lower() != b"application/json":
            raise Fault(415, "UNSUPPORTED_MEDIA_TYPE", "the body must be application/json")
        body = await self._bodies.read(request)
        if too_deep(body, self._max_depth):
            raise Fault(400, "TOO_DEEP", f"the body nests deeper than {self._max_depth} levels")
        try:
            return msgspec.json.decode(body, type=form, strict=True)
        except msgspec.ValidationError as error:
            what, _, place = str(error).partition(" - at `")
            raise Fault(400, "INVALID_BODY", f"{place.rstrip('`') or '$'}: {what}") from None
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise malformed(body, str(error)) from None


def answer(document: object, status: int = 200, location: str = "") -> Answer:
    headers = [(b"location", location.encode())] if location else []
    return Answer(_encoder.encode(document), status, headers=headers)


def nothing() -> Answer:
    """Done; there is nothing to tell."""
    return Answer(b"", 204)


def number(text: str) -> int | None:
    """A number in a path, such as a partition's; None where it is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 10 else None


def _takes_json(accept: bytes) -> bool:
    """RFC 9110, 12.5.1, of application/json only."""
    weights: dict[bytes, bool] = {}
    for one in accept.lower().split(b","):
        media_range, *parameters = (part.strip() for part in one.split(b";"))
        weights[media_range] = not any(part.rstrip(b"0.") == b"q=" for part in parameters)
    ranges = (b"application/json", b"application/*", b"*/*")
    return not accept.strip() or next((weights[one] for one in ranges if one in weights), False)
