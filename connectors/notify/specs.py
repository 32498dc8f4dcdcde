"""What a channel file may say, and what is wrong with one."""

from typing import Literal

import msgspec

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"


class Spec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"):
    """What all channels have. `in_doubt`: what becomes of a notice of which it is not known whether it was taken; None: what
    suits the kind. `seconds` and `attempts`: see Patience."""

    resolved: bool = True
    in_doubt: Literal["send", "keep"] | None = None
    attempts: int = 5
    seconds: float = 10.0
    authorities: str = ""


class Posted(Spec, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"):
    """A channel by HTTP. Its URL, which may be a secret, is one of three."""

    url: str = ""
    url_file: str = ""
    url_env: str = ""
    allow_private: bool = False


class WebhookSpec(Posted, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="webhook"):
    secret_file: str = ""
    secret_env: str = ""


class SlackSpec(Posted, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="slack"):
    pass


class PagerDutySpec(Posted, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="pagerduty"):
    routing_key_file: str = ""
    routing_key_env: str = ""


class MailSpec(Spec, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="smtp"):
    host: str
    port: int = 587
    tls: Literal["starttls", "tls", "none"] = "starttls"
    user: str = ""
    password_file: str = ""
    password_env: str = ""
    sender: str = msgspec.field(name="from")
    to: list[str]


AnySpec = WebhookSpec | SlackSpec | PagerDutySpec | MailSpec


class File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A channel file. Times in seconds. `default`: the channels of rules that name none. `inhibit`: while a critical alert
    of a device fires, those of lesser severity are not told of."""

    channels: dict[str, msgspec.Raw] = {}
    default: list[str] = []
    group_wait: float = 5.0
    group_interval: float = 60.0
    inhibit: bool = True
