"""What a registered device asks over mTLS: heartbeat, uploads, configuration, a new certificate, a new key, a token.

Flows (infra.device.calls); the paths name the device, and the server compares them with the certificate.
"""

import json
from typing import Any
from uuid import uuid4

from infra.device.calls import Call, Flow, Refused, Reply
from infra.device.keystore import PrivateKey, public_der, sign
from infra.device.registration import Asking, Bundle, Progress, csr, encoded
from schemas import proofs


def asked(call: Call) -> Flow[Reply]:
    """One call as a flow."""
    return (yield call)


def post(path: str, value: Any) -> Flow[Reply]:
    """One request that is the same however often it is sent."""
    return (yield Call("POST", path, json.dumps(value).encode()))


def heartbeat(device_id: str, fields: dict[str, Any]) -> Flow[Reply]:
    """`fields` as the device API has them; boot id and sequence make a repeat harmless."""
    return (yield from post(f"/v1/devices/{device_id}/heartbeat", fields))


def telemetry(device_id: str, upload: dict[str, Any]) -> Flow[Reply]:
    """One upload, as the device API has it."""
    return (yield from post(f"/v1/devices/{device_id}/telemetry", upload))


def configuration(device_id: str) -> Call:
    """The device's configuration, as signed by the server (see infra.device.configuration)."""
    return Call("GET", f"/v1/devices/config/{device_id}")


def published_keys() -> Call:
    """The keys with which the server signs, as a JWK Set."""
    return Call("GET", "/.well-known/jwks.json")


def access_token(device_id: str) -> Flow[Reply]:
    """A token for an hour: access_token, token_type, expires_in."""
    return (yield Call("POST", f"/v1/devices/{device_id}/token", b"{}", str(uuid4())))


def newest(device_id: str) -> Flow[Bundle]:
    """The device's newest certificate, as it was answered first; also by the one before it, which was not revoked."""
    reply = yield Call("GET", f"/v1/devices/{device_id}/certificate")
    return Bundle.read({"device_id": device_id} | reply)


def state(device_id: str, state: str, detail: str | None = None) -> Flow[Reply]:
    """Tell which state of its life the device has come to."""
    said = {"state": state} | ({} if detail is None else {"detail": detail})
    return (yield Call("POST", f"/v1/devices/{device_id}/state", json.dumps(said).encode(), str(uuid4())))


def renewal(device_id: str, key: PrivateKey, serial: str, progress: Progress) -> Flow[Bundle]:
    """A new certificate of the same key, in place of that of `serial`. Goes on where an earlier one was cut off."""
    asking = Asking(progress, {"flow": "renewal", "device_id": device_id, "serial": serial})
    path = f"/v1/devices/{device_id}/certificate/renew"
    reply = yield from _asked(asking, progress, path, lambda: {"csr": csr(key)})
    return Bundle.read({"device_id": device_id} | reply)


def rotation(device_id: str, key: PrivateKey, new_key: PrivateKey, serial: str, progress: Progress) -> Flow[Bundle]:
    """A certificate of another key, which the present one vouches for."""
    asking = Asking(progress, {"flow": "rotation", "device_id": device_id, "serial": serial})

    def body() -> dict[str, Any]:
        session = str(uuid4())
        vouched = sign(key, proofs.rotation(session, public_der(new_key)))
        return {"csr": csr(new_key), "session_id": session, "signature": encoded(vouched)}

    reply = yield from _asked(asking, progress, f"/v1/devices/{device_id}/certificate/rotate", body)
    return Bundle.read({"device_id": device_id} | reply)


def _asked(asking: Asking, progress: Progress, path: str, body: Any) -> Flow[Reply]:
    try:
        return (yield from asking.ask("certificate", path, body))
    except Refused as refused:
        if not refused.later:
            progress.clear()
        raise
