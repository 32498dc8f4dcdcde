"""The bench of rebuilds at a tiny size."""

import pytest

from infra.bench import rebuild

pytestmark = pytest.mark.stack


@pytest.mark.timeout(600)
def test_all_contestants_do_their_work() -> None:
    result = rebuild.run(1.0, records=4_000, devices=20)
    assert (result["bench"], set(result["peers"]), set(result["limits"])) == ("rebuild", {"per_record"}, {"librdkafka"})
    assert result["ours"] > 0
    assert result["targets"] == {"per_record": 10.0, "librdkafka": 0.5}
    assert 50 < result["detail"]["megabytes"] < 1_500
    for view in rebuild.VIEWS:
        assert {f"{view} {what}" for what in ("rate", "wall", "linear", "faster")} <= result["detail"].keys()
