"""The channel file: what it may say, and that each fault is told with its channel and field."""

from pathlib import Path

import pytest

from connectors.notify.configuration import BadChannels, Channels, load
from connectors.notify.mail import Mail
from connectors.notify.webhook import PagerDuty, Slack, Webhook

GOOD = """
default: [ops-mail, hook]
group_wait: 1
group_interval: 30
inhibit: false
channels:
  hook: {kind: webhook, url: "https://test/x?y=1", secret_env: HOOK, attempts: 3, seconds: 2.5}
  chat: {kind: slack, url_file: chat.url, in_doubt: send}
  pager: {kind: pagerduty, routing_key_file: pager.key, resolved: false}
  ops-mail:
    {kind: smtp, host: mail.example.com, from: fleetlog@example.com, to: [ops@example.com], user: u, password_env: MAIL}
"""
ENVIRONMENT = {"HOOK": "secret-of-the-hook", "MAIL": "password"}


def read(folder: Path, text: str) -> Channels:
    file = folder / "channels.yaml"
    file.write_text(text, "utf-8")
    return load(file, ENVIRONMENT.get)


def test_a_whole_file(tmp_path: Path) -> None:
    (tmp_path / "chat.url").write_text("https://test/services/T/B/X\n")
    (tmp_path / "pager.key").write_text("R0UT1NGKEY")
    found = read(tmp_path, GOOD)
    assert (found.default, found.group_wait, found.group_interval, found.inhibit) == (("ops-mail", "hook"), 1, 30, False)
    kinds = {name: type(one.channel) for name, one in found.named.items()}
    assert kinds == {"hook": Webhook, "chat": Slack, "pager": PagerDuty, "ops-mail": Mail}
    assert {name: one.channel.knows_repeats for name, one in found.named.items()} == {
        "hook": True, "chat": True, "pager": True, "ops-mail": False,
    }  # fmt: skip
    assert not found.named["pager"].channel.tells_resolved
    assert (found.named["hook"].patience.attempts, found.named["hook"].patience.seconds) == (3, 2.5)


def test_no_file_is_no_channel(tmp_path: Path) -> None:
    assert load(tmp_path / "none.yaml", ENVIRONMENT.get) == Channels() == read(tmp_path, "") == read(tmp_path, "# nothing\n")


HOOK = "channels: {hook: {kind: webhook, url: 'https://test/', "


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (HOOK + "colour: red}}", r"channel hook: .*`colour`"),
        (HOOK + "attempts: many}}", r"channel hook: .*attempts"),
        (HOOK + "attempts: 0}}", r"channel hook: attempts: "),
        (HOOK + "seconds: 4000}}", r"channel hook: seconds: "),
        (HOOK + "in_doubt: perhaps}}", r"channel hook: .*in_doubt"),
        (HOOK + "url_env: X}}", r"channel hook: url_env: there is url too"),
        (HOOK + "secret_env: NOT_SET}}", r"channel hook: secret_env: .*NOT_SET is not set"),
        (HOOK + "secret_file: nowhere}}", r"channel hook: secret_file: .*nowhere"),
        (HOOK + "authorities: nowhere.pem}}", r"channel hook: authorities: "),
        ("channels: {hook: {kind: webhook}}", r"channel hook: url: is missing; url, url_file, url_env say it"),
        ("channels: {hook: {kind: pigeon}}", r"channel hook: .*pigeon"),
        ("channels: {hook: {url: 'https://test/'}}", r"channel hook: .*kind"),
        ("channels: {hook: {kind: webhook, url: 'ftp://x/'}}", r"channel hook: url: is no http"),
        ("channels: {hook: {kind: webhook, url: 'https://test:hush@test/'}}", r"channel hook: url: holds a user"),
        ("channels: {hook: {kind: webhook, url: 'https://test:99999/'}}", r"channel hook: url: "),
        ("channels: {pager: {kind: pagerduty}}", r"channel pager: routing_key: is missing; routing_key_file"),
        ("channels: {m: {kind: smtp, host: h, from: a@b, to: []}}", r"channel m: to: "),
        ("channels: {m: {kind: smtp, host: h, from: 'a@b, c@d', to: [a@b]}}", r"channel m: from: "),
        ("channels: {m: {kind: smtp, host: h, from: a@b, to: [a@b], user: u}}", r"channel m: user: "),
        ("channels: {m: {kind: smtp, host: h, from: a@b, to: [a@b], user: u, password_env: MAIL, tls: none}}", r"m: tls: "),
        ("channels: {'a b': {kind: webhook, url: 'https://test/'}}", r"channel 'a b': a name is"),
        ("channels: {7: {kind: webhook, url: 'https://test/'}}", r"channels.yaml: "),
        ("channels: [hook]", r"channels.yaml: .*channels"),
        ("default: [hook]", r"default: there is no channel 'hook'"),
        ("group_wait: -1", r"group_wait: "),
        ("group_wait: .nan", r"group_wait: "),
        ("colour: red", r"colour"),
        ("- 1", r"channels.yaml: "),
        ("channels: {hook: [", r"is no YAML"),
        ("a: &a [1, 2]\nb: *a", r"line 2: aliases are not known"),
        ("channels: {hook: {kind: webhook, url: !!python/object:os.system x}}", r"is no YAML"),
        ("#" * 1_000_001, r"is larger than"),
    ],
)
def test_a_fault_is_told_with_its_place(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(BadChannels, match=told) as caught:
        read(tmp_path, text)
    assert str(tmp_path / "channels.yaml") in str(caught.value)
    assert "hush" not in str(caught.value)


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "channels.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadChannels, match=r"channels\.yaml"):
        load(tmp_path / "channels.yaml", ENVIRONMENT.get)
