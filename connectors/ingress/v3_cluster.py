"""The cluster that a v3 path names."""

from connectors.cluster import Cluster
from connectors.http.request import Fault
from connectors.ingress.rest_topics import broker_away
from connectors.ports import Away


async def check_cluster(cluster: Cluster, named: str) -> str:
    """The id of the cluster, which is the one that is named.

    Raises:
        Fault: 404 another is, 503 the broker does not answer.
    """
    try:
        identity = await cluster.identity()
    except Away as away:
        raise broker_away(str(away)) from None
    if named != identity:
        raise Fault(404, "CLUSTER_NOT_FOUND", f"there is no cluster {named[:100]!r}")
    return identity
