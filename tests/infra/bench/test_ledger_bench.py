"""The ledger's bench measures what it says."""

from infra.bench import ledger


def test_a_short_run() -> None:
    found = ledger.run(0.1)
    assert found["unit"] == "leaves/s"
    assert found["detail"]["leaves"] == 5_000
    assert found["ours"] > 0
    assert found["detail"]["verify inclusion us"] > 0
