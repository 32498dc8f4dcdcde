"""The bench of the authority at a tiny size."""

from infra.bench import authority


def test_all_contestants_issue() -> None:
    result = authority.run(0.0)
    assert set(result["ratios"]) == {"bare", "server's key"}
    assert all(rate > 0 for rate in (result["ours"], *result["peers"].values(), *result["limits"].values()))
