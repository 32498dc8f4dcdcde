"""What a device on the machine of a local stack needs not be given: the ledger's key, and this machine's figures."""

from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from infra.device.keystore import NothingKept
from infra.settings import Settings
from infra.simulator.host import Host
from schemas.transparency import notes


def ledger_key(settings: Settings) -> str:
    """The local ledger's key as a note's verifier key.

    Raises:
        NothingKept: there is none.
    """
    file = settings.data / "pki" / "ledger.pub"
    try:
        key = load_pem_public_key(file.read_bytes())
    except (OSError, ValueError) as error:
        raise NothingKept(f"{file} holds no key of a ledger ({error}): give --ledger-key") from None
    if not isinstance(key, Ed25519PublicKey):
        raise NothingKept(f"{file} holds no Ed25519 key: give --ledger-key")
    return notes.NoteKey(settings.ledger_origin, notes.LOG, key.public_bytes(Encoding.Raw, PublicFormat.Raw)).text


def figures() -> dict[str, Any]:
    """A heartbeat of this machine, as far as it knows itself."""
    return {
        **Host().figures(),
        "uptime": 0,
        "network_quality": {"signal_strength": 0.0, "latency": 0.0, "throughput": 0.0, "packet_loss": 0.0},
        "camera_status": None,
        "location": None,
        "error_count": dict.fromkeys(("camera_errors", "network_errors", "storage_errors", "detection_errors"), 0),
        "metrics": {
            "events_detected_today": 0,
            "events_uploaded_today": 0,
            "average_detection_latency": 0.0,
            "storage_usage_mb": 0.0,
        },
    }
