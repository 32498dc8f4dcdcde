"""Media types of Kafka-REST: whatever a client sends, the choice is one that is offered, and the weights hold."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.http.request import Fault, Request
from connectors.ingress.rest_media import ANSWERED, EMBEDDED, answer_type, embedded_format, fault_type

TYPES = [*(one.decode() for one in ANSWERED), "application/*", "*/*", "text/html"]
PIECES = [*TYPES, ";q=", "0", "1", ".", "5", ";", ",", " ", "q"]


async def nothing() -> tuple[bytes, bool]:
    return b"", False


def request(name: bytes, value: bytes) -> Request:
    return Request("GET", b"/brokers", {name: value}, nothing)


def outcome(choose: Callable[[Request], bytes | str], asked: Request) -> bytes | str | int:
    try:
        return choose(asked)
    except Fault as fault:
        return fault.status


@given(st.lists(st.sampled_from(PIECES), max_size=30).map("".join))
def test_any_accept_is_answered_or_refused(accept: str) -> None:
    asked = request(b"accept", accept.encode())
    assert outcome(answer_type, asked) in (*ANSWERED, 406)
    assert fault_type(asked) in ANSWERED


@given(st.permutations(ANSWERED), st.lists(st.integers(0, 1000), min_size=3, max_size=3))
def test_the_greatest_weight_wins(order: list[bytes], thousandths: list[int]) -> None:
    weights = dict(zip(order, thousandths, strict=True))
    accept = b", ".join(b"%s;q=%s" % (one, f"{weight / 1000:.3f}".encode()) for one, weight in weights.items())
    if not any(thousandths):
        with pytest.raises(Fault):
            answer_type(request(b"accept", accept))
        return
    chosen = answer_type(request(b"accept", accept))
    assert weights[chosen] == max(thousandths)
    assert chosen == next(one for one in ANSWERED if weights[one] == max(thousandths)), "of equals the first offered"


@given(st.binary(max_size=60))
def test_any_content_type_is_a_format_or_refused(content_type: bytes) -> None:
    assert outcome(embedded_format, request(b"content-type", content_type)) in (*EMBEDDED, 415)
