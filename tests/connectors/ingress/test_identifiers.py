"""Event ids, trace context, correlation ids."""

import time
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.http.tracing import correlation_id, trace_parent
from connectors.ingress.identifiers import EventIds, uuid_bytes, uuid_text

TRACE, SPAN = b"4bf92f3577b34da6a3ce929d0e0e4736", b"00f067aa0ba902b7"


def test_event_ids_are_version_7_rise_and_tell_the_time() -> None:
    ids, before = EventIds(), time.time_ns() // 1_000_000
    made = [ids.next() for _ in range(20_000)]
    after = time.time_ns() // 1_000_000
    assert [number for number, _ in made] == sorted({number for number, _ in made})
    for number, text in (made[0], made[-1]):
        parsed = uuid.UUID(text)
        assert (parsed.bytes, parsed.version, parsed.variant) == (number, 7, uuid.RFC_4122)
        assert before <= parsed.int >> 80 <= after


def test_event_ids_rise_when_the_clock_steps_back(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_800_000_000_000
    monkeypatch.setattr("connectors.ingress.identifiers.time.time_ns", lambda: now * 1_000_000)
    ids = EventIds()
    first = ids.next()
    now -= 60_000
    assert ids.next() > first


def test_two_processes_make_different_ids() -> None:
    assert len({EventIds().next()[0][6:] for _ in range(1_000)}) == 1_000


@given(st.uuids())
def test_text_and_bytes_of_a_uuid(number: uuid.UUID) -> None:
    assert uuid_text(number.bytes) == str(number)
    assert uuid_bytes(str(number)) == number.bytes


@pytest.mark.parametrize("text", ["", "0", "zz" * 16, "00" * 15, "00" * 17])
def test_what_is_no_uuid_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # bytes.fromhex words its own
        uuid_bytes(text)


@pytest.mark.parametrize(
    "given_one", [b"00-%s-%s-01" % (TRACE, SPAN), b"00-%s-%s-00" % (TRACE, SPAN), b"cc-%s-%s-01-more" % (TRACE, SPAN)]
)
def test_a_valid_traceparent_is_kept(given_one: bytes) -> None:
    assert trace_parent(given_one) == (given_one, TRACE.decode())


@pytest.mark.parametrize(
    "bad",
    [
        None,
        b"",
        b"00-%s-%s" % (TRACE, SPAN),
        b"00-%s-%s-01-more" % (TRACE, SPAN),
        b"ff-%s-%s-01" % (TRACE, SPAN),
        b"00-%s-%s-01" % (b"0" * 32, SPAN),
        b"00-%s-%s-01" % (TRACE, b"0" * 16),
        b"00-%s-%s-01" % (TRACE.upper(), SPAN),
        b"00-%s-%s-01\n" % (TRACE, SPAN),
    ],
)
def test_in_place_of_any_other_a_new_one_is_made(bad: bytes | None) -> None:
    made, trace_id = trace_parent(bad)
    assert trace_parent(made) == (made, trace_id), "what is made is valid"
    assert made.startswith(b"00-")
    assert made.endswith(b"-00")
    assert trace_parent(bad)[0] != made


@given(st.none() | st.binary(max_size=200))
def test_a_correlation_id_is_always_fit_for_headers_and_logs(given_one: bytes | None) -> None:
    made = correlation_id(given_one, "trace")
    assert made == "trace" or made.encode() == given_one
    assert made.isascii()
    assert made.isprintable()
    assert len(made) <= 128


def test_a_usable_correlation_id_is_kept() -> None:
    assert correlation_id(b"job-7:a.b_c", "trace") == "job-7:a.b_c"
