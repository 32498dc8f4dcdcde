"""The bench of registrations: what its figures say, and a small run on real services."""

import pytest

from infra.bench import registration
from infra.bench.registration_load import Load, LoadOptions, load

STEPS = {"token": (20.0, 99.0), "initiate": (20.0, 90.0), "validate": (50.0, 201.0), "confirm": (60.0, 300.0)}


def loaded(count: int, seconds: float) -> Load:
    return Load(seconds, {}, STEPS, [(f"SN-{number}", f"{number:x}") for number in range(count)])


def test_the_figures_say_what_was_met_and_what_was_missed() -> None:
    made = registration.figures(900.0, loaded(400, 1.0), loaded(90, 1.0), None)
    assert (made.ours, made.ratios["cryptography"], made.met("cryptography")) == (400.0, pytest.approx(4 / 9), True)
    assert registration.figures(900.0, loaded(200, 1.0), loaded(90, 1.0), None).met("cryptography") is False
    assert made.detail["token_target"] == "p99 below 100 ms: met"
    assert made.detail["challenge_target"] == "p99 below 200 ms: missed"
    assert made.detail["rate_at_50"] == 90.0
    assert "storm_rate" not in made.detail


def test_a_storm_says_how_long_a_hundred_thousand_take() -> None:
    made = registration.Stormed(2_000, loaded(2_000, 10.0)).detail()
    assert made["storm_rate"] == 200.0
    assert made["minutes_for_100000_at_that_rate"] == pytest.approx(100_000 / 200 / 60)


@pytest.mark.parametrize("count", [1_999, 2_001])
def test_a_storm_after_which_not_every_device_is_registered_once_is_an_error(count: int) -> None:
    with pytest.raises(RuntimeError, match=f"of 2000 devices {count} are registered"):
        registration.Stormed(2_000, loaded(count, 10.0)).detail()


def test_a_generator_that_fails_is_an_error_with_its_own_words() -> None:
    with pytest.raises(RuntimeError, match="there are no roots in /nowhere"):
        load(LoadOptions("http://127.0.0.1:1", "https://127.0.0.1:1", "key", "/nowhere", 1, 0.1))


@pytest.mark.stack
def test_a_small_run_on_real_services() -> None:
    result = registration.run(3.0, storm=30)
    assert result["ours"] > 0
    assert result["limits"]["cryptography"] > result["ours"]
    assert (result["detail"]["storm_registered"], result["detail"]["storm_twice"]) == (30, 0)
    assert result["detail"]["failed"] == {}
