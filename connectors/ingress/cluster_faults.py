"""What a cluster's silence and its refusals are to a client of Kafka-REST."""

from collections.abc import Awaitable
from typing import TypeVar

from connectors.cluster import Ground, Refusal
from connectors.http.request import Fault
from connectors.ingress.rest_topics import broker_away
from connectors.ports import Away

T = TypeVar("T")


async def told(asked: Awaitable[T]) -> T:
    """What a question to the cluster is answered with.

    Raises:
        Fault: 503 it is away, 403 it does not let the ingress, 400 what is asked for can't be.
    """
    try:
        return await asked
    except Away as away:
        raise broker_away(str(away)) from None
    except Refusal as refusal:
        if refusal.ground is Ground.FORBIDDEN:
            raise Fault(403, "CLUSTER_FORBIDS", f"the cluster does not let the ingress do this: {refusal}") from None
        raise Fault(400, "REFUSED", str(refusal)) from None
