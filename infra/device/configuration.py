"""A device's configuration: only one that the server has signed for this very device is taken."""

from typing import Any

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from infra.device.calls import Answer, read
from infra.device.registration import NotTrusted

ALGORITHM, KIND = "ES256", "device-config"


def checked(answer: Answer, keys: Answer, device_id: str) -> dict[str, Any]:
    """The configuration in `answer` (device_id, version, config), if X-Config-Signature, a JWS over the body that it does
    not hold (RFC 7515, appendix F), is by one of the JWK Set `keys` and made for configurations.

    Raises:
        Refused: the server said no.
        NotTrusted: it is not signed, or by another key, or for another device.
    """
    said, published = read(answer), read(keys)
    try:
        known = KeySet.import_key_set({"keys": published["keys"]})
        signed = jws.deserialize_compact(answer.signature, known, [ALGORITHM], payload=answer.body)
    except (JoseError, ValueError, KeyError, TypeError) as error:
        raise NotTrusted(f"the configuration's signature is not good: {error!r}") from None
    if signed.headers().get("typ") != KIND:
        raise NotTrusted("the signature was made for something else than a configuration")
    if said.get("device_id") != device_id:
        raise NotTrusted("the configuration is of another device")
    return said
