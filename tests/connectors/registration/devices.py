"""A device with a real key, and what it sends."""

import base64
import json
import zlib
from dataclasses import dataclass, field
from typing import Any

import httpx

from schemas import proofs
from tests.streams.registration.keyring import Key, key

FINGERPRINT = {"cpu_id": "cpu-1", "board_serial": "b-1", "mac_addresses": ["aa:bb:cc:00:11:22"], "disk_uuid": "d-1"}
INFO = {"model": "M1", "firmware_version": "1.0", "hardware_revision": "r2", "capabilities": ["camera", "gps"]}


def text(data: bytes) -> str:
    return base64.b64encode(data).decode()


@dataclass
class Sender:
    """One device at an ingress. `said` are the headers of all that it sends."""

    client: httpx.Client
    hardware_id: str
    key: Key = field(init=False)
    fingerprint: dict[str, Any] = field(default_factory=lambda: dict(FINGERPRINT))
    session: str = ""
    device_id: str = ""

    def __post_init__(self) -> None:
        self.key = key("ec", zlib.crc32(self.hardware_id.encode()))  # no two devices have the same

    def opening(self) -> dict[str, Any]:
        public = text(self.key.public)
        return self.named() | {"public_key": public, "hardware_fingerprint": self.fingerprint, "device_info": INFO}

    def named(self) -> dict[str, Any]:
        return {"hardware_id": self.hardware_id}

    def post(self, path: str, body: Any, **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.post(f"/v1/devices/{path}", content=json.dumps(body), headers=named)

    def initiate(self, **headers: str) -> httpx.Response:
        answer = self.post("register/initiate", self.opening(), **headers)
        if answer.is_success:
            self.session, self.device_id = answer.json()["session_id"], answer.json()["device_id"]
        return answer

    def validate(self, headers: dict[str, str] | None = None, **credential: str) -> httpx.Response:
        body = self.named() | {"session_id": self.session, "hardware_fingerprint": self.fingerprint} | credential
        return self.post("register/validate", body, **(headers or {}))

    def proof(self) -> str:
        return text(self.key.sign(proofs.opening(self.hardware_id)))

    def confirm(self, challenge: str, signer: Key | None = None, **headers: str) -> httpx.Response:
        signature = (signer or self.key).sign(base64.b64decode(challenge))
        body = self.named() | {"session_id": self.session, "signature": text(signature), "csr": text(self.key.csr())}
        return self.post("register/confirm", body, **headers)

    def registered(self, token: str) -> dict[str, Any]:
        """The whole way with a claim's token; the bundle."""
        assert self.initiate().status_code == 201
        challenge = self.validate(claim_token=token)
        assert challenge.status_code == 200, challenge.text
        bundle = self.confirm(challenge.json()["challenge"])
        assert bundle.status_code == 200, bundle.text
        return dict(bundle.json())

    def headers(self, serial: str) -> dict[str, str]:
        """With which the world's guard knows it."""
        return {"x-test-device": f"{self.device_id} {serial}"}
