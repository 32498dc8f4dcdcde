"""The forecast of what ends when."""

from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.authority.forecast import DAY, WITHIN_DAYS, Ending, forecast

NOW = 1_800_000_000_000_000


def counts(*left: int) -> dict[int | None, int]:
    endings = [Ending(f"{number:x}", f"device-{number}", NOW + one) for number, one in enumerate(left)]
    return {bucket.within_days: bucket.certificates for bucket in forecast(endings, NOW) if bucket.certificates}


def test_edges() -> None:
    assert counts(-1) == {0: 1}
    assert counts(0, DAY - 1) == {1: 2}
    assert counts(DAY, 7 * DAY - 1) == {7: 2}
    assert counts(30 * DAY) == {60: 1}
    assert counts(90 * DAY, 400 * DAY) == {None: 2}


@settings(deadline=None)
@given(left=st.lists(st.integers(-100 * DAY, 500 * DAY), max_size=40), shown=st.integers(0, 5))
def test_each_is_counted_once_and_the_next_are_the_soonest(left: list[int], shown: int) -> None:
    endings = [Ending(f"{number:x}", "device", NOW + one) for number, one in enumerate(left)]
    buckets = forecast(endings, NOW, shown)
    assert [bucket.within_days for bucket in buckets] == [0, *WITHIN_DAYS, None]
    assert sum(bucket.certificates for bucket in buckets) == len(left)
    ends = [one.not_after for bucket in buckets for one in bucket.next]
    assert ends == sorted(ends)
    assert all(len(bucket.next) == min(shown, bucket.certificates) for bucket in buckets)
