"""What the OpenAPI document says of rules and alerts is so: no answer that it does not describe."""

from pathlib import Path

from openapi_spec_validator import OpenAPIV31SpecValidator

from connectors.ingress.access import Access, Rights
from tests.connectors.alerting.fake_desk import FakeDesk
from tests.connectors.ingress.fakes import FakeRegistry
from tests.connectors.ingress.served import CONTRACT, KEY, Around, new_log, options, serving_with
from tests.surfaces.fuzzing import Surface, fuzz, of_alerting


def test_rules_and_alerts_have_no_5xx_and_no_undocumented_answer(tmp_path: Path) -> None:
    around = Around(new_log(), FakeRegistry(), Access(KEY, Rights(fleet="admin"), CONTRACT), alerting=FakeDesk())
    with serving_with(options(tmp_path), around) as served:
        surface = Surface(f"http://127.0.0.1:{served.port}", {"X-API-Key": KEY}, {"id": ["hot"]})
        document = surface.document()
        OpenAPIV31SpecValidator(document).validate()
        paths = {path: item for path, item in document["paths"].items() if of_alerting(item)}
        assert len(paths) == 15
        report = fuzz(surface, document | {"paths": paths}, tmp_path, examples=10)
    assert report.clean, report.text
