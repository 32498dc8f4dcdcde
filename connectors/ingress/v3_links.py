"""URLs and resource names in the answers of Kafka-REST v3."""

import re
from collections.abc import Mapping
from urllib.parse import quote

from connectors.ingress.v3_resources import ListMetadata, Metadata, Related

# RFC 9112, 3.2: what names a host, and nothing that could mean more in a URL or a page.
_HOST = re.compile(rb"(?:[A-Za-z0-9](?:[A-Za-z0-9._-]{0,253})|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")


def base_url(host: bytes, own: str) -> str:
    """The service's URL as a client knows it by its Host header; `own` where that is none."""
    return f"http://{host.decode()}" if _HOST.fullmatch(host) else own


class Links:
    """Makes links below one cluster's URL. Names in paths are percent-encoded, a slash in a name too."""

    def __init__(self, base: str, cluster: str) -> None:
        self._base, self.cluster = f"{base}/v3/clusters", cluster

    @property
    def clusters(self) -> str:
        """URL of the list of clusters."""
        return self._base

    def url(self, *segments: object) -> str:
        return "/".join((self._base, *(quote(str(one), safe="") for one in (self.cluster, *segments))))

    def related(self, *segments: object) -> Related:
        return Related(self.url(*segments))

    def resource(self, segments: tuple[object, ...], names: Mapping[str, object], last: str = "") -> Metadata:
        """The metadata of a resource: where it is, and its name by those of the resources that it is part of."""
        named = {"kafka": self.cluster, **names}
        parts = [f"{kind}={quote(str(name), safe='')}" for kind, name in named.items()]
        return Metadata(self.url(*segments), "crn:///" + "/".join([*parts, last] if last else parts))

    def listing(self, *segments: object) -> ListMetadata:
        return ListMetadata(self.url(*segments))
