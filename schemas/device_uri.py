"""How a certificate names a device: a URI in its subject alternative name, and nothing else."""

import re

PREFIX = "urn:fleetlog:device:"
DEVICE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
"""What a device id may be, everywhere (the contract's `device_id`). Each of these characters stands for itself in a URN."""


def of(device_id: str) -> str:
    """
    Raises:
        ValueError: that is no device id.
    """
    if not DEVICE_ID.fullmatch(device_id):
        raise ValueError(f"{device_id!r} is no device id: it does not match {DEVICE_ID.pattern}")
    return PREFIX + device_id


def device_id(uri: str) -> str | None:
    """The device that a URI names, or None if it names none."""
    name = uri.removeprefix(PREFIX)
    return name if name != uri and DEVICE_ID.fullmatch(name) else None
