"""QR codes, secrets of claims, configurations: each by itself."""

import base64
import hashlib
import hmac
import zlib
from typing import Any

import numpy as np
import pytest
import zxingcpp
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws

from connectors.registration import qr
from connectors.registration.claims import status_of
from connectors.registration.configuration import BadConfiguration, Configurations, models
from connectors.registration.lookups import Claim, Device, device_id_of, hardware_id_of
from connectors.registration.secrets import Secrets
from connectors.signing_keys import SigningKeys

TOKENS = st.binary(min_size=32, max_size=32).map(lambda data: base64.urlsafe_b64encode(data).rstrip(b"=").decode())
BASIS = qr.Basis(qr.TOKEN_LENGTH)
CAMERA = Device("SN-1", "dev-SN-1", "alice", "M1", ("camera",), None, None)
PLAIN = Device("SN-2", "dev-SN-2", "alice", "M2", (), None, None)
FILE = """
[default.monitoring]
log_level = "WARN"
[models."M1".camera]
frame_rate = 60
[models."M1".monitoring]
telemetry_interval_seconds = 10
"""


def pixels(png: bytes) -> "np.ndarray[Any, np.dtype[np.uint8]]":
    """Of a PNG of one bit a pixel, without filters."""
    width, height = (int.from_bytes(png[at : at + 4]) for at in (16, 20))
    length = int.from_bytes(png[33:37])
    assert png[37:41] == b"IDAT"
    rows = np.frombuffer(zlib.decompress(png[41 : 41 + length]), np.uint8).reshape(height, -1)[:, 1:]
    return np.unpackbits(rows, axis=1)[:, :width] * 255


@given(TOKENS)
def test_a_reader_reads_the_token_in_the_image(secret: str) -> None:
    token = f"claim-019aa000-0000-7000-8000-000000000006.{secret}"
    code = BASIS.modules(token.encode())
    assert (code == qr.modules(token.encode())).all()
    image = base64.b64decode(qr.png(code).removeprefix("data:image/png;base64,"))
    (found,) = zxingcpp.read_barcodes(pixels(image))
    assert found.text == token


def test_both_images_show_the_same_modules() -> None:
    code = qr.QrCodes().modules("claim-1.secret")
    image = base64.b64decode(qr.svg(code).removeprefix("data:image/svg+xml;base64,")).decode()
    drawn = np.zeros_like(code)
    for run in image.rpartition(' d="')[2].partition('"')[0].split("M")[1:]:
        x, _, rest = run.partition(" ")
        y, _, width = rest.partition("h")
        drawn[int(y), int(x) : int(x) + int(width.partition("v")[0])] = 1
    assert (drawn == code).all()


def test_secrets_are_random_unless_they_must_be_found_again() -> None:
    secrets, others = Secrets(bytes(32)), Secrets(b"\1" * 32)
    assert secrets.claim("claim-1", False) != secrets.claim("claim-1", False)
    again = secrets.claim("claim-1", True)
    assert again == secrets.claim("claim-1", True)
    assert again != secrets.claim("claim-2", True)
    assert again != others.claim("claim-1", True)
    assert secrets.claim_of(again.token) == "claim-1"
    assert len(again.token) == len("claim-1.") + 43
    assert again.pin.isdigit()
    assert len(again.pin) == 6


def test_the_log_holds_hashes_as_the_contract_says() -> None:
    secrets = Secrets(bytes(32))
    assert secrets.token_hash("claim-1.x") == hashlib.sha256(b"claim-1.x").digest()
    assert secrets.pin_hash("claim-1", "000123") == hmac.digest(bytes(32), b"claim-1:000123", "sha256")
    with pytest.raises(ValueError, match="32 bytes"):
        Secrets(b"short")


def configurations(text: str = FILE) -> tuple[Configurations, SigningKeys]:
    keys = SigningKeys()
    return Configurations(models(text, 60.0), "https://localhost:8444", keys, bytes(32)), keys


def test_a_configuration_is_the_defaults_under_the_file_under_the_model() -> None:
    made, _ = configurations()
    camera, plain = made.of(CAMERA), made.of(PLAIN)
    assert (camera["monitoring"]["log_level"], camera["monitoring"]["telemetry_interval_seconds"]) == ("WARN", 10)
    assert (plain["monitoring"]["log_level"], plain["monitoring"]["telemetry_interval_seconds"]) == ("WARN", 300)
    assert camera["monitoring"]["heartbeat_interval_seconds"] == 60
    assert camera["camera"]["frame_rate"] == 60
    assert "detection" in camera
    assert "camera" not in plain
    assert "detection" not in plain
    assert plain["network"]["api_endpoints"]["heartbeat"] == "https://localhost:8444/v1/devices/dev-SN-2/heartbeat"


def test_a_configuration_is_signed_so_that_its_device_can_check_it() -> None:
    made, keys = configurations()
    signed = made.signed(CAMERA)
    header, _, signature = signed.signature.split(".")
    payload = base64.urlsafe_b64encode(signed.body).rstrip(b"=").decode()
    found = jws.deserialize_compact(f"{header}.{payload}.{signature}", keys.public_keys(), algorithms=["ES256"])
    assert found.payload == signed.body
    assert base64.b64decode(signed.mac) == hmac.digest(made.device_key("dev-SN-1"), signed.body, "sha256")
    assert made.device_key("dev-SN-1") != made.device_key("dev-SN-2")


def test_the_version_changes_with_the_content_alone() -> None:
    made, _ = configurations()
    again, _ = configurations()
    other, _ = configurations(FILE.replace("60", "61"))
    assert made.signed(CAMERA).version == again.signed(CAMERA).version != other.signed(CAMERA).version
    assert made.signed(PLAIN).version == other.signed(PLAIN).version


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("nonsense", "is not TOML"),
        ("[other]", "holds other"),
        ("[default.camera]\ncolour = 1", "default: .*colour"),
        ('[models."M".monitoring]\nlog_level = "LOUD"', r"models\.M: .*\$\.monitoring\.log_level"),
        ("[default.storage]\nmax_storage_gb = 0", "default: .*max_storage_gb"),
        ("models.M = 1", r"models\.M: is no table"),
    ],
)
def test_a_file_that_is_no_configuration_is_refused_with_the_place(text: str, says: str) -> None:
    with pytest.raises(BadConfiguration, match=says):
        models(text, 60.0)


@given(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,20}", fullmatch=True))
def test_a_devices_two_ids_tell_each_other(hardware_id: str) -> None:
    assert hardware_id_of(device_id_of(hardware_id)) == hardware_id


def test_an_id_that_no_registration_gave() -> None:
    assert hardware_id_of("other") is None


LATER, BEFORE = 7_000_000_000_000_000, 1
SPENT = {"hardware_id": "SN-1", "session_id": "s"}


@pytest.mark.parametrize(
    ("claim", "stage", "status", "progress"),
    [
        (Claim("c", "a", LATER), None, "pending", 0),
        (Claim("c", "a", LATER, tried=True), None, "scanning", 20),
        (Claim("c", "a", BEFORE), None, "expired", 0),
        (Claim("c", "a", LATER, locked=True), None, "locked", 0),
        (Claim("c", "a", BEFORE, **SPENT), None, "claiming", 50),
        (Claim("c", "a", LATER, **SPENT), "session", "claiming", 40),
        (Claim("c", "a", LATER, **SPENT), "challenged", "claiming", 60),
        (Claim("c", "a", LATER, **SPENT), "passed", "claiming", 75),
        (Claim("c", "a", LATER, **SPENT), "certified", "success", 90),
        (Claim("c", "a", LATER, **SPENT), "activated", "success", 100),
        (Claim("c", "a", LATER, **SPENT), "failed", "failed", 0),
    ],
)
def test_how_far_a_claim_is(claim: Claim, stage: Any, status: str, progress: int) -> None:
    device = None if stage is None else Device("SN-1", "dev-SN-1", "a", "M", (), "s", stage)
    told = status_of(claim, device)
    assert (told.status, told.progress) == (status, progress)
    assert (told.device_id is not None) == (status == "success")
