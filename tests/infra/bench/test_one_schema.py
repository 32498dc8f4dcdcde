"""The registry of one schema answers as a real one does, as seen by our client of registries."""

import httpx
import pytest

from connectors.ports import UnknownSchema
from connectors.registry import ConfluentRegistry
from infra.bench.one_schema import serving

SCHEMA = {"type": "record", "name": "Kept", "fields": [{"name": "a", "type": "string"}]}


def test_it_knows_its_schema_and_no_other() -> None:
    with serving(7, SCHEMA) as url:
        registry = ConfluentRegistry(url)
        try:
            assert registry.schema(7) == SCHEMA
            with pytest.raises(UnknownSchema):
                registry.schema(8)
        finally:
            registry.close()


def test_it_is_gone_afterwards() -> None:
    with serving(7, SCHEMA) as url:
        assert httpx.get(f"{url}/schemas/ids/7?fetchMaxId=false").status_code == 200
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/schemas/ids/7")
