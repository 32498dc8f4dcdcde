"""Registration at the ingress, from settings."""

import secrets
from pathlib import Path

from connectors import private_files
from connectors.kafka_tail import KafkaTail
from connectors.registration.configuration import BadConfiguration, Sections, models
from connectors.registration.options import RegistrationOptions, RegistrationPorts
from connectors.registration.view_lookups import ViewLookups
from connectors.view_reader import ViewReader
from infra.settings import SettingError, Settings

PEPPER_FILE = "registration-pepper"
PEPPER_BYTES = 32


def options(settings: Settings, heartbeat_interval: float) -> RegistrationOptions:
    """
    Raises:
        SettingError: the pepper or the configurations can't be used.
    """
    return RegistrationOptions(
        pepper=_pepper(settings.data / PEPPER_FILE),
        base_url=settings.device_url.rstrip("/") or f"https://{settings.host}:{settings.data_port}",
        models=_models(settings, heartbeat_interval),
    )


def ports(settings: Settings, views: ViewReader) -> RegistrationPorts:
    return RegistrationPorts(KafkaTail(settings.kafka), ViewLookups(views))


def _pepper(file: Path) -> bytes:
    """The server's own secret; made once, and readable by its owner only. Claims that were issued under another one can be
    spent by their token, but not by their PIN."""
    if not file.exists():
        private_files.make(file, secrets.token_bytes(PEPPER_BYTES))
    try:
        pepper = private_files.read(file)
    except (private_files.Exposed, OSError) as error:
        raise SettingError(str(error)) from None
    if len(pepper) < PEPPER_BYTES:
        raise SettingError(f"{file} holds {len(pepper)} bytes, fewer than the {PEPPER_BYTES} of a pepper")
    return pepper


def _models(settings: Settings, heartbeat_interval: float) -> dict[str, Sections]:
    if not settings.device_config:
        return models("", heartbeat_interval)
    file = Path(settings.device_config)
    try:
        return models(file.read_text("utf-8"), heartbeat_interval)
    except (BadConfiguration, OSError, ValueError) as error:
        raise SettingError(f"FLEETLOG_DEVICE_CONFIG: {file}: {error}") from None
