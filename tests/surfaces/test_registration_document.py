"""What the OpenAPI document says of registration is so, with the deciders behind it."""

from pathlib import Path

from tests.connectors.ingress.served import KEY
from tests.connectors.registration.devices import Sender
from tests.connectors.registration.world import World, world
from tests.surfaces.fuzzing import Surface, fuzz, of_registration


def test_registration_has_no_5xx_and_no_undocumented_answer(tmp_path: Path) -> None:
    with world(tmp_path, request_deadline=10.0) as running:
        surface = surface_of(running)
        document = surface.document()
        paths = {path: item for path, item in document["paths"].items() if of_registration(item)}
        assert len(paths) == 17
        report = fuzz(surface, document | {"paths": paths}, tmp_path, examples=6)
    assert report.clean, report.text


def surface_of(running: World) -> Surface:
    """A claim and a device are there."""
    client = running.served.client
    claim = client.post("/v1/devices/claim-token", json={}).json()
    device = Sender(client, "SN-1")
    bundle = device.registered(claim["claim_token"])
    known = {"id": [device.device_id, claim["claim_id"]], "serial": [bundle["serial"]]}
    return Surface(str(client.base_url).rstrip("/"), {"X-API-Key": KEY}, known)
