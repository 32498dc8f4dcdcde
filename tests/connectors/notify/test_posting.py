"""Webhooks: what is sent, and that a receiver that misbehaves is a bounded failure."""

import hashlib
import hmac
import socket
import time

import msgspec
import pytest

from connectors.notify.addresses import allowed, is_public
from connectors.notify.channel import Undelivered
from connectors.notify.posting import Poster
from connectors.notify.sending import Patience, send
from connectors.notify.webhook import PagerDuty, Slack, Webhook
from tests.connectors.notify.notices import ID, alert, notice
from tests.connectors.notify.receiver import Answer, drip, endless, hang, receiving, say

QUICK = 0.4  # seconds
SECRET = b"a secret of 32 bytes, or so, it is"


def never(seconds: float) -> bool:
    return False


def webhook(url: str, **flags: bool) -> Webhook:
    return Webhook(Poster(url, allow_private=True), SECRET, **flags)


def test_a_webhook_is_signed_and_keeps_its_key() -> None:
    with receiving() as receiver:
        assert webhook(receiver.url).deliver(notice(), 5) == "200 ok"
    (came,) = receiver.came
    timestamp = came.headers["x-fleetlog-timestamp"]
    assert abs(int(timestamp) - time.time()) < 60
    made = hmac.new(SECRET, timestamp.encode() + b"." + came.body, hashlib.sha256).hexdigest()
    assert came.headers["x-fleetlog-signature"] == f"v1={made}"
    assert came.key == ID == came.json()["notification_id"]
    assert came.headers["content-type"] == "application/json"


def test_an_unsigned_webhook_has_no_signature() -> None:
    with receiving() as receiver:
        Webhook(Poster(receiver.url, allow_private=True), b"").deliver(notice(), 5)
    assert "x-fleetlog-signature" not in receiver.came[0].headers


@pytest.mark.parametrize(
    ("answer", "why", "again", "doubtful"),
    [
        (say(500), "refused", True, False),
        (say(502), "refused", True, True),
        (say(429), "refused", True, False),
        (say(400), "refused", False, False),
        (say(410), "refused", False, False),
        (say(302, Location="http://127.0.0.1:2/"), "redirected", False, False),
        (say(308, Location="http://127.0.0.1:1/"), "redirected", False, False),
        (hang(1.2), "timeout", True, True),
        (drip(1.2), "timeout", True, True),
        (lambda handler: None, "unreachable", True, True),
        (lambda handler: handler.wfile.write(b"no HTTP\r\n\r\n") and None, "unreachable", True, True),
    ],
    ids=["500", "502", "429", "400", "410", "302", "308", "hangs", "drips", "closes", "no-http"],
)
def test_a_bad_answer_is_told_and_bounded(answer: Answer, why: str, again: bool, doubtful: bool) -> None:
    with receiving(answer) as receiver:
        started = time.monotonic()
        with pytest.raises(Undelivered) as caught:
            webhook(receiver.url).deliver(notice(), QUICK)
    assert time.monotonic() - started < QUICK + 1.5
    assert (caught.value.why, caught.value.again, caught.value.doubtful) == (why, again, doubtful)
    assert len(receiver.came) == 1, "a redirect was followed, or a try was made twice"


def test_an_endless_answer_is_not_read() -> None:
    with receiving(endless) as receiver:
        started = time.monotonic()
        said = webhook(receiver.url).deliver(notice(), 5)
    assert said.startswith("200 x")
    assert len(said) < 300
    assert time.monotonic() - started < 3


def test_an_answer_whose_body_never_ends_was_an_answer() -> None:
    with receiving(drip(2, b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")) as receiver:
        assert webhook(receiver.url).deliver(notice(), QUICK).startswith("200")


@pytest.mark.parametrize(
    "text",
    [
        "127.0.0.1", "10.1.2.3", "192.168.1.1", "172.16.0.1", "169.254.169.254", "0.0.0.0", "224.0.0.1", "100.64.0.1",
        "255.255.255.255", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "ff02::1", "::ffff:127.0.0.1",
        "::ffff:10.0.0.1", "2002:7f00:1::", "64:ff9b::7f00:1", "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    ],
)  # fmt: skip
def test_addresses_that_are_not_the_internet_s(text: str) -> None:
    assert not is_public(text)


@pytest.mark.parametrize("text", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_addresses_of_the_internet(text: str) -> None:
    assert is_public(text)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0x7f.1", "2130706433", "[::1]"])
def test_a_private_address_is_refused_before_anything_is_sent(host: str) -> None:
    with receiving() as receiver, pytest.raises(Undelivered) as caught:
        Webhook(Poster(f"http://{host}:{receiver.port}/"), SECRET).deliver(notice(), QUICK)
    assert caught.value.why == "forbidden_address"
    assert not caught.value.again
    assert receiver.came == []


def test_one_bad_address_among_good_ones_is_enough() -> None:
    def resolve(*asked: object, **more: object) -> list[tuple[object, ...]]:
        return [(2, 1, 6, "", ("8.8.8.8", 80)), (2, 1, 6, "", ("10.0.0.7", 80))]

    with pytest.raises(Undelivered, match=r"10\.0\.0\.7"):
        allowed("example.com", 80, False, resolve)


def test_the_address_that_was_checked_is_the_one_connected_to() -> None:
    """A name that leads elsewhere the second time it is asked for (DNS rebinding) is asked for once."""
    asked = []

    def resolve(host: str, port: int, **more: object) -> list[tuple[object, ...]]:
        asked.append(host)
        return socket.getaddrinfo("127.0.0.1" if len(asked) == 1 else "192.0.2.1", port, type=socket.SOCK_STREAM)

    with receiving() as receiver:
        poster = Poster(f"http://test:{receiver.port}/", allow_private=True, resolve=resolve)
        Webhook(poster, SECRET).deliver(notice(), 5)
    assert asked == ["test"]
    assert receiver.came[0].headers["host"] == f"test:{receiver.port}"


def test_no_one_there_is_not_doubtful() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(Undelivered) as caught:
            webhook(f"http://127.0.0.1:{taken.getsockname()[1]}/").deliver(notice(), QUICK)
    assert (caught.value.why, caught.value.doubtful) == ("unreachable", False)


def test_a_refusal_does_not_show_the_url() -> None:
    with pytest.raises(Undelivered) as caught:
        Slack(Poster("http://127.0.0.1:9/services/T0/SECRET", allow_private=True)).deliver(notice(), QUICK)
    assert "SECRET" not in caught.value.detail


# --- retries


def test_a_webhook_is_tried_until_it_is_taken_with_one_key() -> None:
    waited: list[float] = []
    with receiving(say(500), say(503, Retry_After="7"), hang(1), say(200)) as receiver:
        outcome = send(webhook(receiver.url), notice(), Patience(5, QUICK), lambda s: waited.append(s) or False)
    assert outcome is not None
    assert (outcome.attempts, outcome.why) == (4, None)
    assert receiver.counted() == {ID: 4}
    assert waited == [0.5, 7.0, 2.0]
    bodies = {came.body for came in receiver.came}
    assert len(bodies) == 1, "a repeat is another message"


def test_it_ends() -> None:
    with receiving(say(500)) as receiver:
        outcome = send(webhook(receiver.url), notice(), Patience(3, QUICK), never)
    assert outcome is not None
    assert (outcome.attempts, outcome.why, len(receiver.came)) == (3, "refused", 3)


def test_who_knows_no_repeats_is_not_tried_again_in_doubt() -> None:
    with receiving(hang(1), say(200)) as receiver:
        outcome = send(Slack(Poster(receiver.url, True)), notice(), Patience(5, QUICK), never)
    assert outcome is not None
    assert (outcome.why, len(receiver.came)) == ("in_doubt", 1)


def test_who_knows_no_repeats_is_tried_again_where_it_surely_was_not_taken() -> None:
    with receiving(say(503), say(200)) as receiver:
        outcome = send(Slack(Poster(receiver.url, True)), notice(), Patience(5, QUICK), never)
    assert outcome is not None
    assert (outcome.why, len(receiver.came)) == (None, 2)


def test_a_process_that_stops_neither_sends_nor_gives_up() -> None:
    with receiving(say(500)) as receiver:
        assert send(webhook(receiver.url), notice(), Patience(5, QUICK), lambda seconds: True) is None


# --- the forms of others


def test_slack() -> None:
    nasty = alert(annotations={"summary": "<!channel> & <http://test|click>"})
    with receiving() as receiver:
        Slack(Poster(receiver.url, True)).deliver(notice(nasty, alert(2, severity="info")), 5)
    body = receiver.came[0].json()
    assert set(body) == {"text", "attachments"}
    assert body["text"] == "[FIRING] device-offline (critical): greenhouse-1 and 1 more"
    (attachment,) = body["attachments"]  # type: ignore[misc]
    assert attachment["color"] == "#d00000"
    assert "&lt;!channel&gt; &amp;" in attachment["text"]
    assert "<" not in attachment["text"]


@pytest.mark.parametrize(
    ("status", "action"), [("firing", "trigger"), ("acknowledged", "acknowledge"), ("resolved", "resolve")]
)
def test_pagerduty(status: str, action: str) -> None:
    with receiving(say(202, b'{"status":"success"}')) as receiver:
        told = notice(alert(1, status=status), alert(2, status=status), status=status)
        PagerDuty(Poster(receiver.url, True), "R0UT1NGKEY").deliver(told, 5)
    bodies = [msgspec.json.decode(came.body) for came in receiver.came]
    assert [body["event_action"] for body in bodies] == [action, action]
    assert [body["routing_key"] for body in bodies] == ["R0UT1NGKEY"] * 2
    assert [body["dedup_key"] for body in bodies] == [alert(1)["alert_id"], alert(2)["alert_id"]]
    if action != "trigger":
        assert "payload" not in bodies[0]
        return
    payload = bodies[0]["payload"]
    assert payload["severity"] == "critical"
    assert payload["source"] == "greenhouse-1"
    assert payload["summary"] == "greenhouse-1 is silent"
    assert payload["timestamp"] == "2026-05-01T12:05:00Z"
