"""Progress on standard error, and how a request to end is heard."""

import io
import os
import signal

import pytest

from infra.cli.progress import Bar, bar, eta, sentence
from streams.rebuild import Progress


def progress(records: int, total: int) -> Progress:
    made = Progress(lambda _: None)
    made.records, made.total = records, total
    return made


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_request_to_end_is_heard_at_the_next_report(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with Bar("view", io.StringIO()) as shown:
        shown.report(progress(1, 2))
        os.kill(os.getpid(), number)  # what goes on meanwhile comes to its end
        with pytest.raises(KeyboardInterrupt):
            shown.report(progress(2, 2))
    assert signal.getsignal(number) is before


def test_a_second_request_is_heard_at_once() -> None:
    with Bar("view", io.StringIO()):
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_what_is_shown() -> None:
    out = io.StringIO()
    with Bar("view", out) as shown:
        shown.report(progress(1, 2))
        shown.report(progress(2, 2))  # too soon for another line
    assert out.getvalue().count("\n") == 1
    assert sentence("view", progress(0, 1_000)).startswith("view: 0 of 1,000 records, ")
    assert eta(10, 10, 0.0) == 0.0
    assert eta(5, 10, 0.0) is None
    assert eta(5, 10, 2.5) == 2.0
    assert bar(progress(5, 10), 10) == "[=====     ] "
    assert bar(progress(5, 10), 9) == ""
