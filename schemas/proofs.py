"""What devices sign: the exact bytes, for both sides.

Every message but the opening proof (given by the first source document, registration in four steps: `register:{sn}`)
starts with its purpose and a zero byte, so that a signature made for one is none for another.
"""

import hashlib

CHALLENGE = b"fleetlog-challenge-v1\0"
ROTATION = b"fleetlog-rotation-v1\0"
REQUEST = b"fleetlog-request-v1\0"


def opening(hardware_id: str) -> bytes:
    """The opening proof of a pre-registered device. It can be replayed, so it is never enough for a certificate."""
    return b"register:" + hardware_id.encode()


def challenge(session_id: str, nonce: bytes, public_key: bytes, fingerprint: bytes) -> bytes:
    """The answer to a challenge: bound to the session (UUID text), the server's nonce (32 bytes), the key
    (SubjectPublicKeyInfo, DER) and the fingerprint (32 bytes, as `fingerprint`)."""
    return CHALLENGE + session_id.encode() + nonce + hashlib.sha256(public_key).digest() + fingerprint


def rotation(session_id: str, new_public_key: bytes) -> bytes:
    """Signed by the present key to bring in a new one (SubjectPublicKeyInfo, DER)."""
    return ROTATION + session_id.encode() + hashlib.sha256(new_public_key).digest()


def request(method: str, target: str, timestamp: str, nonce: str, body: bytes) -> bytes:
    """A signed request: `target` is path and query as sent, `timestamp` and `nonce` the texts of the headers
    X-Request-Timestamp and X-Request-Nonce."""
    lines = (method.upper(), target, timestamp, nonce, hashlib.sha256(body).hexdigest())
    return REQUEST + "\n".join(lines).encode()


def fingerprint(parts: dict[str, str | list[str] | None], hardware_id: str) -> bytes:
    """The salted SHA-256 of a hardware fingerprint (third source document, section 3.1.1: cpu_id, board_serial,
    mac_addresses, disk_uuid and, where there is one, tpm_attestation). The salt is the hardware id: an identifier that
    can't be looked up across devices, not a secret. Order and case of MAC addresses do not matter."""
    digest = hashlib.sha256(b"fleetlog-fingerprint-v1\0" + hardware_id.encode() + b"\0")
    for name in ("cpu_id", "board_serial", "mac_addresses", "disk_uuid", "tpm_attestation"):
        part = parts.get(name)
        texts = sorted(text.lower() for text in part) if isinstance(part, list) else [] if part is None else [part]
        digest.update(f"{name}:{len(texts)}\n".encode())
        for text in texts:
            digest.update(f"{len(text.encode())}:{text}\n".encode())
    return digest.digest()
