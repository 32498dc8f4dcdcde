"""Faults that a simulated fleet makes on request. Each is a probability, drawn from the run's seeded generator."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, fields

# Bodies that are wrong in ways devices were seen to be wrong; {} is the upload's JSON object.
_WRONG_VALUE = ((b'"sequence":', b'"sequence":"x'), (b'"boot_id":', b'"boot_id":17,"":'), (b'"occurred_at":', b'"at":'))


class FaultError(ValueError):
    """A --faults text names a fault that there is not, or a share that is none."""


@dataclass(frozen=True, slots=True)
class Faults:
    """Shares from 0 to 1: of uploads, but `skew` of devices.

    duplicates: sent twice, at once on another connection or some time later
    late:       held back for minutes of the device's time, while later ones go out
    reorder:    overtaken by the device's next one
    drop:       the connection is closed after the request was written, before the answer is read
    reset:      the connection is reset amid the request
    corrupt:    a broken copy of the upload goes first; the ingress must refuse it
    reboot:     the device restarts before it (a new boot_id, sequence from 0)
    skew:       the device's clock is wrong, by up to a day
    """

    duplicates: float = 0.0
    late: float = 0.0
    reorder: float = 0.0
    drop: float = 0.0
    reset: float = 0.0
    corrupt: float = 0.0
    reboot: float = 0.0
    skew: float = 0.0

    @classmethod
    def parse(cls, text: str) -> "Faults":
        """Faults such as `duplicates=0.01,late=0.02`.

        Raises:
            FaultError: naming the part that is wrong.
        """
        names = [field.name for field in fields(cls)]
        shares: dict[str, float] = {}
        for part in filter(None, (part.strip() for part in text.split(","))):
            name, _, share = part.partition("=")
            if name not in names:
                raise FaultError(f"no fault is named {name!r}; there are {', '.join(names)}")
            shares[name] = _share(name, share)
        return cls(**shares)


def _share(name: str, text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        raise FaultError(f"{name}: not a share from 0 to 1: {text!r}") from None
    if not 0 <= share <= 1:
        raise FaultError(f"{name}: not a share from 0 to 1: {text!r}")
    return share


def corrupted(body: bytes, chance: random.Random) -> bytes:
    """`body` (a JSON upload or batch of uploads) broken so that no reader may accept it."""
    kind = chance.randrange(4)
    if kind == 3:
        return body[: chance.randrange(1, len(body))]
    return _replaced(body, _WRONG_VALUE[kind])


def _replaced(body: bytes, change: Sequence[bytes]) -> bytes:
    # All of them: of a batch the sound uploads would be accepted.
    return body.replace(change[0], change[1])
