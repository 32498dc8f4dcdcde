"""What a registered device, its owner or an administrator asks of it: state, reset, new certificates, configuration."""

from uuid import UUID

from connectors.http.request import Answer, Fault, Request
from connectors.registration import reading
from connectors.registration.asked import REGISTRATION_EVENTS
from connectors.registration.bodies import RenewRequest, ResetRequest, RotateRequest, StateReport
from connectors.registration.desk import Desk, actor_of, told
from connectors.registration.documents import ResetAnswer, StateAnswer
from connectors.registration.faults import Refusal, RegistrationFault
from connectors.registration.sessions import Sessions
from schemas.log import TopicPartition
from schemas.messages import Command, Event
from schemas.registration_commands import ReportState, RequestRenewal, ResetDevice
from schemas.registration_events import CertificateRecorded, DeviceReset, DeviceStateChanged


class Devices:
    """The handlers. Whose the device is was checked by its certificate or by its owner's key."""

    def __init__(self, desk: Desk, sessions: Sessions) -> None:
        self._desk, self._sessions = desk, sessions

    async def state(self, request: Request) -> Answer:
        """`POST /v1/devices/{id}/state`."""
        device = await self._desk.own_device(request)
        asked = await self._desk.reader.read(request, StateReport)
        stamp = self._desk.commands.stamp(request, device.device_id, actor_of(request, self._desk.access))
        command = ReportState(**stamp.of(), hardware_id=device.hardware_id, state=asked.state, detail=asked.detail)
        event = await self._asked(command, request)
        assert isinstance(event, DeviceStateChanged)
        return told(StateAnswer(device.device_id, event.previous, event.state))

    async def reset(self, request: Request) -> Answer:
        """`POST /v1/devices/{id}/reset`."""
        device = await self._desk.own_device(request)
        asked = await self._desk.reader.read(request, ResetRequest)
        stamp = self._desk.commands.stamp(request, device.device_id, actor_of(request, self._desk.access))
        event = await self._asked(ResetDevice(**stamp.of(), hardware_id=device.hardware_id, detail=asked.detail), request)
        assert isinstance(event, DeviceReset)
        return told(ResetAnswer(device.device_id, event.hardware_id, event.serial))

    async def renew(self, request: Request) -> Answer:
        """`POST /v1/devices/{id}/certificate/renew`: by the certificate that is to be renewed."""
        asked = await self._desk.reader.read(request, RenewRequest)
        return await self._renewed(request, asked.csr)

    async def rotate(self, request: Request) -> Answer:
        """`POST /v1/devices/{id}/certificate/rotate`: the certificate's key signs for the one that takes its place."""
        asked = await self._desk.reader.read(request, RotateRequest)
        return await self._renewed(request, asked.csr, asked)

    async def certificate(self, request: Request) -> Answer:
        """`GET /v1/devices/{id}/certificate`: the newest, as it was answered first. For a device that never heard that
        answer: the certificate before it, which is good until its end unless it was revoked, opens this door."""
        device = await self._desk.own_device(request)
        if device.recorded is not None:
            partition, offset = device.recorded
            event = await self._desk.commands.earlier(TopicPartition(REGISTRATION_EVENTS, partition), offset)
            if isinstance(event, CertificateRecorded):
                return told(await self._sessions.certificate(event))
        raise RegistrationFault("CERTIFICATE_UNKNOWN")

    async def configuration(self, request: Request) -> Answer:
        """`GET /v1/devices/config/{id}`."""
        device = await self._desk.own_device(request)
        made = self._desk.configurations.signed(device)
        tag = f'"{made.version}"'.encode()
        headers = [
            (b"etag", tag),
            (b"cache-control", b"private, no-cache"),
            (b"x-config-signature", made.signature.encode()),
            (b"x-config-hmac-sha256", made.mac.encode()),
        ]
        if request.headers.get(b"if-none-match") == tag:
            return Answer(b"", 304, headers=headers)
        return Answer(made.body, headers=headers)

    async def _renewed(self, request: Request, csr: str, rotation: RotateRequest | None = None) -> Answer:
        identity = request.identity
        if identity is None:
            detail = "a certificate is renewed over the data listener, by the device that has it"
            raise Fault(403, "CERTIFICATE_NEEDED", detail)
        device = await self._desk.own_device(request)
        stamp = self._desk.commands.stamp(request, identity.serial, actor_of(request, self._desk.access))
        command = RequestRenewal(
            **stamp.of(),
            hardware_id=device.hardware_id,
            device_id=device.device_id,
            session_id=rotation.session_id if rotation else str(UUID(stamp.base)),
            purpose="rotation" if rotation else "renewal",
            serial=identity.serial,
            csr=reading.csr(csr),
            signature=reading.binary("$.signature", rotation.signature) if rotation else None,
        )
        return told(await self._sessions.certificate(await self._asked(command, request)))

    async def _asked(self, command: Command, request: Request) -> Event:
        try:
            return await self._desk.commands.ask(command, request)
        except Refusal as refusal:
            raise refusal.fault(told=True) from None  # it is the device itself, its owner, or an administrator
