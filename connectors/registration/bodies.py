"""The documents that the registration's operations take. The OpenAPI document takes their schemas from here."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from schemas.message_values import DeviceState, RegistrationType, RevocationReason, Selector

_ID = r"^(?!claim-)[A-Za-z0-9][A-Za-z0-9._:-]{0,123}$"
_UUID = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"

HardwareId = Annotated[str, Meta(pattern=_ID, max_length=124, description="The serial number that the maker gave it.")]
SessionId = Annotated[str, Meta(pattern=_UUID, description="As `initiate` has answered.")]
Name = Annotated[str, Meta(min_length=1, max_length=128)]
Label = Annotated[str, Meta(min_length=1, max_length=64)]
Part = Annotated[str, Meta(max_length=256)]
Base64 = Annotated[str, Meta(min_length=1, max_length=1_400, description="Base64.")]
KeyText = Annotated[str, Meta(min_length=1, max_length=4_000, description="SubjectPublicKeyInfo: PEM, or DER in Base64.")]
CsrText = Annotated[str, Meta(min_length=1, max_length=12_000, description="PKCS#10: PEM, or DER in Base64.")]
ClaimToken = Annotated[str, Meta(pattern=r"^claim-[0-9a-f-]{36}\.[A-Za-z0-9_-]{43}$", description="From the QR code.")]
ClaimId = Annotated[str, Meta(pattern=r"^claim-[0-9a-f-]{36}$")]
Pin = Annotated[str, Meta(pattern=r"^[0-9]{6}$")]
Latitude = Annotated[float, Meta(ge=-90, le=90)]
Longitude = Annotated[float, Meta(ge=-180, le=180)]
Detail = Annotated[str, Meta(min_length=1, max_length=1_000)]
Count = Annotated[int, Meta(ge=0, le=2**53)]
Principal = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


class Body(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True, omit_defaults=True):
    """What a request holds; a field that is not declared is refused by name."""


class Place(Body, frozen=True, kw_only=True):
    """Where something is; `accuracy` and `altitude` in metres."""

    latitude: Latitude
    longitude: Longitude
    altitude: float | None = None
    accuracy: Annotated[float, Meta(ge=0)] | None = None
    source: Literal["gps", "network", "manual"] | None = None


class ClaimTokenRequest(Body, frozen=True, kw_only=True):
    """A user wants to claim a device. `expires_in` in seconds."""

    registration_type: RegistrationType = "qr_with_pin_fallback"
    device_type: Label | None = None
    expires_in: Annotated[int, Meta(ge=30, le=3600)] = 300
    location: Place | None = None


class Fingerprint(Body, frozen=True, kw_only=True):
    """What the hardware is known by. A part that the machine doesn't tell is empty; one at least is not."""

    cpu_id: Part
    board_serial: Part
    mac_addresses: Annotated[list[Annotated[str, Meta(min_length=1, max_length=64)]], Meta(max_length=64)]
    disk_uuid: Part
    tpm_attestation: Annotated[str, Meta(min_length=1, max_length=16_384)] | None = None

    def parts(self) -> dict[str, str | list[str] | None]:
        """As schemas.proofs.fingerprint takes them."""
        return {name: getattr(self, name) for name in self.__struct_fields__}


class Camera(Body, frozen=True, kw_only=True):
    """A device's camera."""

    model: Name
    resolution: Label
    frame_rate: Annotated[float, Meta(ge=0, le=10_000)]


class DeviceInfo(Body, frozen=True, kw_only=True):
    """What kind of device it is. `total_memory` and `total_storage` in bytes."""

    model: Name
    firmware_version: Label
    hardware_revision: Label | None = None
    capabilities: Annotated[list[Name], Meta(max_length=100)] = []
    total_memory: Count | None = None
    total_storage: Count | None = None
    camera_info: Camera | None = None


class NetworkInfo(Body, frozen=True, kw_only=True):
    """How the device is connected. `signal_strength` in dBm."""

    local_ip: Annotated[str, Meta(min_length=2, max_length=45)]
    mac_address: Annotated[str, Meta(min_length=1, max_length=64)]
    connection_type: Literal["wifi", "ethernet", "cellular"]
    signal_strength: float | None = None


class InitiateRequest(Body, frozen=True, kw_only=True):
    """A device asks to be registered."""

    hardware_id: HardwareId
    public_key: KeyText
    hardware_fingerprint: Fingerprint
    device_info: DeviceInfo


class ClaimRequest(InitiateRequest, frozen=True, kw_only=True):
    """A device asks to be registered and presents its claim at once."""

    claim_token: ClaimToken
    location: Place | None = None
    network_info: NetworkInfo | None = None


class ValidateRequest(Body, frozen=True, kw_only=True):
    """A device shows what admits it: `claim_token`, or `claim_id` and `pin`, or `proof`, its signature over
    `register:{hardware_id}` by the key that an administrator made known."""

    hardware_id: HardwareId
    session_id: SessionId
    hardware_fingerprint: Fingerprint
    claim_token: ClaimToken | None = None
    claim_id: ClaimId | None = None
    pin: Pin | None = None
    proof: Base64 | None = None


class ConfirmRequest(Body, frozen=True, kw_only=True):
    """A device answers its challenge and asks for a certificate: of the key in `csr`, or of one that the server makes."""

    hardware_id: HardwareId
    session_id: SessionId
    signature: Base64
    csr: CsrText | None = None
    server_side_key: bool = False


class StateReport(Body, frozen=True, kw_only=True):
    """A device tells which state of its life it has come to."""

    state: DeviceState
    detail: Detail | None = None


class ResetRequest(Body, frozen=True, kw_only=True):
    """A device is given back."""

    detail: Detail | None = None


class RenewRequest(Body, frozen=True, kw_only=True):
    """A device asks for a new certificate of its key."""

    csr: CsrText


class RotateRequest(Body, frozen=True, kw_only=True):
    """A device asks for a certificate of a new key: `signature` is of the present one, over the new key and `session_id`,
    a UUID that the device makes."""

    csr: CsrText
    signature: Base64
    session_id: SessionId


class PreRegistration(Body, frozen=True, kw_only=True):
    """An administrator makes a device known before it is first seen."""

    serial_number: HardwareId
    public_key: KeyText
    owner: Principal | None = None
    model: Name | None = None


class RevokeRequest(Body, frozen=True, kw_only=True):
    """A certificate is to be worthless from now on."""

    reason: RevocationReason
    detail: Detail | None = None


class ExceptionRequest(Body, frozen=True, kw_only=True):
    """A device whose certificate has expired may renew it until then (RFC 3339, with a zone)."""

    until: Annotated[str, Meta(max_length=40)]
    detail: Detail


class MassRevocationRequest(Body, frozen=True, kw_only=True):
    """Many certificates are to be revoked: those of an owner or a model (`value`), or all."""

    selector: Selector
    reason: RevocationReason
    value: Name | None = None


class ConfirmRevocation(Body, frozen=True, kw_only=True):
    """They are revoked if they are still so many."""

    certificates: Count


REGISTRATION_BODIES = (
    *(ClaimTokenRequest, ClaimRequest, InitiateRequest, ValidateRequest, ConfirmRequest, StateReport, ResetRequest),
    *(RenewRequest, RotateRequest, PreRegistration, RevokeRequest, ExceptionRequest, MassRevocationRequest),
    ConfirmRevocation,
)
