"""The cluster that a v3 path names."""

from connectors.cluster import Cluster
from connectors.http.request import Fault
from connectors.ingress.cluster_faults import told


async def check_cluster(cluster: Cluster, named: str) -> str:
    """The id of the cluster, which is the one that is named.

    Raises:
        Fault: 404 another is, 503 the broker does not answer.
    """
    identity = await told(cluster.identity())
    if named != identity:
        raise Fault(404, "CLUSTER_NOT_FOUND", f"there is no cluster {named[:100]!r}")
    return identity
