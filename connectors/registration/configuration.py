"""What a device is told to do: its configuration, by model, made from defaults and one file, and signed.

The structure is that of the third source document (section 8.1), as far as it concerns a device: how it is to behave, where
its server is. `camera` and `detection` are for devices whose capabilities name a camera.
"""

import base64
import hashlib
import hmac
import tomllib
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Protocol

import msgspec
from msgspec import Meta, Struct

from connectors.signing_keys import Signer

Positive = Annotated[int, Meta(ge=1, le=10_000_000)]
Share = Annotated[float, Meta(ge=0, le=1)]
CAMERA = "camera"
SIGNED_KIND = "device-config"  # the header typ of its signature


class Section(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A part of a configuration; what is not declared is refused by name."""


class DeviceSection(Section, frozen=True, kw_only=True):
    timezone: str = "UTC"
    auto_update: bool = True
    debug_mode: bool = False


class NetworkSection(Section, frozen=True, kw_only=True):
    """Durations in seconds."""

    connection_timeout: Positive = 30
    retry_attempts: Positive = 5
    health_check_interval: Positive = 30


class StorageSection(Section, frozen=True, kw_only=True):
    base_path: str = "/var/lib/device"
    max_storage_gb: Annotated[float, Meta(gt=0)] = 16.0
    retention_days: Positive = 7
    auto_cleanup: bool = True
    compression_enabled: bool = True
    backup_to_cloud: bool = False


class MonitoringSection(Section, frozen=True, kw_only=True):
    heartbeat_interval_seconds: Positive = 60
    telemetry_interval_seconds: Positive = 300
    log_level: Literal["ERROR", "WARN", "INFO", "DEBUG"] = "INFO"
    metrics_retention_hours: Positive = 24
    performance_profiling: bool = False
    error_reporting: bool = True


class SecuritySection(Section, frozen=True, kw_only=True):
    verify_server_certificate: bool = True
    request_signing_enabled: bool = False
    renew_after: Share = 0.6667
    """The share of a certificate's life after which it is renewed."""


class CameraSection(Section, frozen=True, kw_only=True):
    device_path: str = "/dev/video0"
    resolution: str = "1920x1080"
    frame_rate: Positive = 30
    auto_exposure: bool = True
    gain: float | None = None
    flip_horizontal: bool = False
    flip_vertical: bool = False


class DetectionSection(Section, frozen=True, kw_only=True):
    enabled: bool = True
    algorithms: list[str] = []
    sensitivity: Share = 0.5
    min_duration_ms: Positive = 100
    max_duration_ms: Positive = 10_000
    cool_down_period_ms: Positive = 1_000
    consensus_threshold: Share = 0.6


class Sections(Section, frozen=True, kw_only=True):
    """All sections."""

    device: DeviceSection = DeviceSection()
    network: NetworkSection = NetworkSection()
    storage: StorageSection = StorageSection()
    monitoring: MonitoringSection = MonitoringSection()
    security: SecuritySection = SecuritySection()
    camera: CameraSection = CameraSection()
    detection: DetectionSection = DetectionSection()


class BadConfiguration(ValueError):
    """A file of configurations is not what it must be; the message names the place."""


class Known(Protocol):
    """What a configuration depends on."""

    @property
    def device_id(self) -> str: ...

    @property
    def model(self) -> str | None: ...

    @property
    def capabilities(self) -> Sequence[str]: ...


class Signed(Struct):
    """A configuration as it is sent: `body` is signed as it is."""

    body: bytes
    version: str
    signature: str
    mac: str


class Configurations:
    """Makes configurations. `base_url`: where devices reach their API; `secret`: of this server, 32 bytes."""

    def __init__(self, models: Mapping[str, Sections], base_url: str, signer: Signer, secret: bytes) -> None:
        """`models` by name; "" is for all others."""
        self._models, self._base_url, self._signer, self._secret = models, base_url, signer, secret

    def of(self, device: Known) -> dict[str, Any]:
        """The configuration of a device."""
        chosen = self._models.get(device.model or "") or self._models.get("") or Sections()
        made: dict[str, Any] = msgspec.to_builtins(chosen)
        if CAMERA not in device.capabilities:
            del made["camera"], made["detection"]
        made["device"] |= {"device_id": device.device_id, "name": device.device_id}
        made["network"]["api_endpoints"] = self.endpoints(device.device_id)
        return made

    def endpoints(self, device_id: str) -> dict[str, str]:
        """Where a device reaches what."""
        own = f"{self._base_url}/v1/devices/{device_id}"
        return {
            "heartbeat": f"{own}/heartbeat",
            "telemetry": f"{own}/telemetry",
            "events": f"{own}/events",
            "state": f"{own}/state",
            "token": f"{own}/token",
            "renew": f"{own}/certificate/renew",
            "rotate": f"{own}/certificate/rotate",
            "config": f"{self._base_url}/v1/devices/config/{device_id}",
        }

    def signed(self, device: Known) -> Signed:
        """The configuration of a device with its version, signed by the server's key (ES256) and by a key that is derived
        for the device (HMAC-SHA256)."""
        config = self.of(device)
        version = hashlib.sha256(_canonical(config)).hexdigest()[:16]
        body = _canonical({"device_id": device.device_id, "version": version, "config": config})
        mac = hmac.digest(self.device_key(device.device_id), body, "sha256")
        return Signed(body, version, detached(self._signer, body), base64.b64encode(mac).decode())

    def device_key(self, device_id: str) -> bytes:
        """The key of a device's HMAC."""
        return hmac.digest(self._secret, f"config:{device_id}".encode(), "sha256")


def models(text: str, heartbeat_seconds: float) -> dict[str, Sections]:
    """The configurations in a file: `[default.SECTION]` for all devices, `[models."NAME".SECTION]` for those of a model.

    Raises:
        BadConfiguration: what is wrong, and where.
    """
    try:
        given = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadConfiguration(f"is not TOML: {error}") from None
    named, default = given.pop("models", {}), given.pop("default", {})
    if given or not isinstance(named, dict) or not isinstance(default, dict):
        raise BadConfiguration(f"holds {', '.join(given) or 'no table'} beside [default] and [models]")
    base = _laid_over({"monitoring": {"heartbeat_interval_seconds": max(1, round(heartbeat_seconds))}}, default)
    found = {"": _sections("default", base)}
    for name, table in named.items():
        if not isinstance(table, dict):
            raise BadConfiguration(f"models.{name}: is no table")
        found[name] = _sections(f"models.{name}", _laid_over(base, table))
    return found


def detached(signer: Signer, payload: bytes) -> str:
    """A JWS (ES256) over a payload that it does not hold (RFC 7515, appendix F); the published keys check it."""
    header, _, signature = signer.sign(payload, SIGNED_KIND).split(".")
    return f"{header}..{signature}"


def _sections(place: str, table: Mapping[str, Any]) -> Sections:
    try:
        return msgspec.convert(table, Sections)
    except msgspec.ValidationError as error:
        raise BadConfiguration(f"{place}: {error}") from None


def _laid_over(base: Mapping[str, Any], table: Mapping[str, Any]) -> dict[str, Any]:
    made = dict(base)
    for name, value in table.items():
        below = made.get(name)
        made[name] = {**below, **value} if isinstance(below, dict) and isinstance(value, dict) else value
    return made


def _canonical(value: Any) -> bytes:
    return msgspec.json.encode(value, order="sorted")
