"""The channel file: YAML that says which channels there are. Errors name the file, the channel and the field."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import msgspec
import yaml

from connectors.notify.channel import Channel
from connectors.notify.mail import Mail, MailServer
from connectors.notify.posting import Poster
from connectors.notify.sending import Patience
from connectors.notify.specs import NAME, AnySpec, File, MailSpec, PagerDutySpec, WebhookSpec
from connectors.notify.webhook import PagerDuty, Slack, Webhook

PAGERDUTY = urlunsplit(("https", "events.pagerduty.com", "/v2/enqueue", "", ""))
LARGEST_FILE = 1_000_000  # bytes
LONGEST_SECRET = 10_000
MOST_ATTEMPTS, MOST_SECONDS = 20, 120.0
Variable = Callable[[str], str | None]
"""The value of an environment variable, if it is set."""


class BadChannels(ValueError):
    """The channel file can't be used; the message names the file, the channel and the field."""


@dataclass(frozen=True, slots=True)
class Configured:
    """A channel, and how long it is tried."""

    channel: Channel
    patience: Patience


@dataclass(frozen=True, slots=True)
class Channels:
    """The channels of a file. Times in seconds."""

    named: Mapping[str, Configured] = field(default_factory=dict)
    default: tuple[str, ...] = ()
    group_wait: float = 5.0
    group_interval: float = 60.0
    inhibit: bool = True


class _Wrong(ValueError):
    """A field, and what is wrong with it."""


def load(file: Path, variable: Variable) -> Channels:
    """The channels of a file; none where there is no file.

    Raises:
        BadChannels: it can't be used, or a secret that it names is not there.
    """
    try:
        if not file.exists():
            return Channels()
        if file.stat().st_size > LARGEST_FILE:
            raise _Wrong(f"is larger than {LARGEST_FILE} bytes")
        return _channels(_document(file.read_text("utf-8")), file.parent, variable)
    except (OSError, UnicodeError, _Wrong) as error:
        raise BadChannels(f"{file}: {error}") from None


def _document(text: str) -> File:
    try:
        for token in yaml.scan(text, Loader=yaml.SafeLoader):
            if isinstance(token, yaml.AliasToken):  # a few of them make a file of a kilobyte into one of gigabytes
                raise _Wrong(f"line {token.start_mark.line + 1}: aliases are not known here")
        read = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise _Wrong(f"is no YAML: {' '.join(str(error).split())}") from None
    if read is None:
        return File()
    try:
        if isinstance(read, dict) and isinstance(read.get("channels"), dict):
            read["channels"] = {name: msgspec.Raw(msgspec.json.encode(one)) for name, one in read["channels"].items()}
        return msgspec.convert(read, File)
    except (msgspec.ValidationError, TypeError) as error:
        raise _Wrong(str(error)) from None


def _channels(file: File, folder: Path, variable: Variable) -> Channels:
    named = {name: _channel(name, raw, folder, variable) for name, raw in file.channels.items()}
    for name in file.default:
        if name not in named:
            raise _Wrong(f"default: there is no channel {name!r}")
    for what in ("group_wait", "group_interval"):
        if not 0 <= getattr(file, what) <= 86_400:
            raise _Wrong(f"{what}: is not from 0 to 86400 seconds")
    return Channels(named, tuple(dict.fromkeys(file.default)), file.group_wait, file.group_interval, file.inhibit)


def _channel(name: str, raw: msgspec.Raw, folder: Path, variable: Variable) -> Configured:
    if not re.fullmatch(NAME, name):
        raise _Wrong(f"channel {name!r}: a name is letters, digits and ._- only, 100 at most")
    try:
        spec = msgspec.json.decode(raw, type=AnySpec)
        if not 1 <= spec.attempts <= MOST_ATTEMPTS:
            raise _Wrong(f"attempts: is not from 1 to {MOST_ATTEMPTS}")
        if not 0.1 <= spec.seconds <= MOST_SECONDS:
            raise _Wrong(f"seconds: is not from 0.1 to {MOST_SECONDS:g}")
        made = _made(spec, _Secrets(spec, folder, variable))
    except (msgspec.ValidationError, _Wrong) as error:
        raise _Wrong(f"channel {name}: {error}") from None
    return Configured(made, Patience(spec.attempts, spec.seconds))


def _made(spec: AnySpec, secrets: "_Secrets") -> Channel:
    flags: dict[str, Any] = {"tells_resolved": spec.resolved}
    if spec.in_doubt is not None:
        flags["knows_repeats"] = spec.in_doubt == "send"
    if isinstance(spec, MailSpec):
        return _mail(spec, secrets, flags)
    url = secrets.of("url", PAGERDUTY if isinstance(spec, PagerDutySpec) else None)
    poster = Poster(_checked(url), spec.allow_private, secrets.authorities())
    if isinstance(spec, WebhookSpec):
        return Webhook(poster, secrets.of("secret", "").encode(), **flags)
    if isinstance(spec, PagerDutySpec):
        return PagerDuty(poster, secrets.of("routing_key"), **flags)
    return Slack(poster, **flags)


def _checked(url: str) -> str:
    """Raises _Wrong, without the URL, which may be a secret."""
    try:
        split = urlsplit(url)
        port = split.port
    except ValueError as error:
        raise _Wrong(f"url: {error}") from None
    if split.scheme not in ("http", "https") or not split.hostname or port == 0:
        raise _Wrong("url: is no http or https URL")
    if split.username is not None or any(ord(character) <= 32 or ord(character) > 126 for character in url):
        raise _Wrong("url: holds a user, a space, or what is no ASCII")
    return url


def _mail(spec: MailSpec, secrets: "_Secrets", flags: Mapping[str, Any]) -> Mail:
    for what, addresses in (("from", [spec.sender]), ("to", spec.to)):
        if not addresses or not all(re.fullmatch(r"[^\s<>@,;:\\\"]{1,64}@[A-Za-z0-9.-]{1,255}", one) for one in addresses):
            raise _Wrong(f"{what}: is no address such as ops@example.com")
    if not 0 < spec.port < 65_536 or not re.fullmatch(r"[A-Za-z0-9._:-]{1,255}", spec.host):
        raise _Wrong("host or port: is none")
    password = secrets.of("password", "")
    if bool(spec.user) != bool(password):
        raise _Wrong("user: needs password_file or password_env, and they it")
    if password and spec.tls == "none":
        raise _Wrong("tls: a password is not sent in the clear")
    server = MailServer(spec.host, spec.port, spec.tls, spec.user, password, secrets.authorities())
    return Mail(server, spec.sender, spec.to, **flags)


class _Secrets:
    """What a channel's fields NAME, NAME_file and NAME_env say."""

    def __init__(self, spec: AnySpec, folder: Path, variable: Variable) -> None:
        self._spec, self._folder, self._variable = spec, folder, variable

    def of(self, name: str, otherwise: str | None = None) -> str:
        """`otherwise`: what counts where no field says it; None: one of them must."""
        told = {what: getattr(self._spec, what, "") for what in (name, f"{name}_file", f"{name}_env")}
        given = [what for what, value in told.items() if value]
        if len(given) > 1:
            raise _Wrong(f"{given[1]}: there is {given[0]} too; one of them is enough")
        if not given:
            if otherwise is not None:
                return otherwise
            raise _Wrong(f"{name}: is missing; " + ", ".join(w for w in told if hasattr(self._spec, w)) + " say it")
        (what,) = given
        if what == name:
            return str(told[what])
        if what.endswith("_env"):
            found = self._variable(told[what])
            if not found:
                raise _Wrong(f"{what}: the environment variable {told[what]} is not set")
            return found
        return self._file(what, told[what])

    def authorities(self) -> str | None:
        """The file of authorities, if one is named."""
        if not self._spec.authorities:
            return None
        file = self._folder / self._spec.authorities
        if not file.is_file():
            raise _Wrong(f"authorities: there is no file {file}")
        return str(file)

    def _file(self, what: str, name: str) -> str:
        try:
            text = (self._folder / name).read_text("utf-8").strip()
        except (OSError, UnicodeError) as error:
            raise _Wrong(f"{what}: {error}") from None
        if not 0 < len(text) <= LONGEST_SECRET:
            raise _Wrong(f"{what}: {self._folder / name} is empty, or longer than {LONGEST_SECRET} characters")
        return text
