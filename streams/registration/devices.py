"""Devices: every command is answered with exactly one event, which may be a refusal."""

from typing import assert_never

from schemas.messages import Event
from schemas.registration_commands import (
    ActivateDevice,
    AdmitClaim,
    ConfirmChallenge,
    OpenSession,
    PreRegisterDevice,
    ProvePossession,
    RecordCertificate,
    RecordCertificateFailure,
    RecordRevocation,
    ReportState,
    RequestRenewal,
    ResetDevice,
)
from schemas.registration_events import DeviceActivated, DeviceReset, DeviceStateChanged
from streams.identities import headers
from streams.registration import certificates, sessions
from streams.registration.lifecycle import SERVERS, reportable
from streams.registration.refusal import Refusal, check_hardware_id
from streams.registration.state import Device

DeviceCommand = (
    PreRegisterDevice
    | OpenSession
    | AdmitClaim
    | ProvePossession
    | ConfirmChallenge
    | RecordCertificate
    | RecordCertificateFailure
    | RecordRevocation
    | RequestRenewal
    | ActivateDevice
    | ReportState
    | ResetDevice
)
BLANK = Device()


def decide_device(state: Device | None, command: DeviceCommand) -> Event:
    """The one event that answers a command.

    Raises:
        Refusal: it may not be.
    """
    device = BLANK if state is None else state
    match command:
        case PreRegisterDevice():
            return sessions.pre_register(device, command)
        case OpenSession():
            return sessions.open_session(device, command)
        case AdmitClaim():
            return sessions.admit(device, command)
        case ProvePossession():
            return sessions.prove(device, command)
        case ConfirmChallenge():
            return sessions.confirm(device, command)
        case _:
            return _decide_registered(device, command)


def _decide_registered(
    device: Device,
    command: RecordCertificate
    | RecordCertificateFailure
    | RecordRevocation
    | RequestRenewal
    | ActivateDevice
    | ReportState
    | ResetDevice,
) -> Event:
    match command:
        case RecordCertificate():
            return certificates.record(device, command)
        case RecordCertificateFailure():
            return certificates.record_failure(device, command)
        case RecordRevocation():
            return certificates.record_revocation(device, command)
        case RequestRenewal():
            return certificates.request_renewal(device, command)
        case ActivateDevice():
            return _activate(device, command)
        case ReportState():
            return _report(device, command)
        case ResetDevice():
            return _reset(device, command)
    assert_never(command)


def _activate(device: Device, command: ActivateDevice) -> DeviceActivated:
    """The first heartbeat of a device that has its certificate."""
    if device.device_id != command.device_id:
        raise Refusal("DEVICE_UNKNOWN", f"device_id: {command.device_id} is not the id of {command.hardware_id}")
    if device.lifecycle != "activating":
        raise Refusal("ILLEGAL_TRANSITION", f"hardware_id: {command.hardware_id} is {device.lifecycle}, not activating")
    if device.serial is None:
        raise Refusal("CERTIFICATE_UNKNOWN", f"hardware_id: {command.hardware_id} has no certificate yet")
    return DeviceActivated(**headers(command, 0), hardware_id=command.hardware_id, device_id=command.device_id)


def _report(device: Device, command: ReportState) -> DeviceStateChanged:
    check_hardware_id(command.hardware_id)
    if not reportable(device.lifecycle, command.state):
        step = (device.lifecycle, command.state)
        why = "is not the device's to take" if step in SERVERS else "is none of the device's life"
        raise Refusal("ILLEGAL_TRANSITION", f"state: the step from {step[0]} to {step[1]} {why}")
    return DeviceStateChanged(
        **headers(command, 0),
        hardware_id=command.hardware_id,
        device_id=device.device_id,
        previous=device.lifecycle,
        state=command.state,
        detail=command.detail,
    )


def _reset(device: Device, command: ResetDevice) -> DeviceReset:
    """Who may is checked before the command is given: the decider knows an owner, but no administrators."""
    if device.device_id is None and device.known is None:
        raise Refusal("DEVICE_UNKNOWN", f"hardware_id: there is no device {command.hardware_id}")
    return DeviceReset(
        **headers(command, 0),
        hardware_id=command.hardware_id,
        device_id=device.device_id,
        serial=device.serial,
        detail=command.detail,
    )
