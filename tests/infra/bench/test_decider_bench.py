"""The bench of the decider at a tiny size."""

from infra.bench import decider


def test_every_kind_of_key_is_registered() -> None:
    result = decider.run(0.0)
    assert set(result["ratios"]) == {"bare"}
    assert set(result["detail"]["microseconds"]) == {*decider.KINDS, *(f"{kind} bare" for kind in decider.KINDS)}
    assert all(took > 0 for took in result["detail"]["microseconds"].values())
