"""Sums over readings of one window, kept exactly, and the statistics that follow from them.

A double is an integer divided by a power of two. So sums of readings, of their squares and of their products with time are
kept as integers with one common power of two: nothing is rounded before the end. Rows therefore do not depend on the order
of the readings, nor on how they were put together from parts, and the spread of a large value with small noise is not lost.
Standard library only.
"""

from dataclasses import dataclass
from math import isqrt

SECOND = 1_000_000  # microseconds
MOST_MAGNITUDE = 1e150
"""Readings beyond it are set aside: their squares would leave the range of doubles."""


@dataclass(slots=True)
class Partial:
    """Readings of one window or a part of it.

    Times are microseconds since `origin`; `sx` and `stx` are multiplied by 2**scale, `sxx` by 4**scale.
    """

    origin: int
    count: int = 0
    scale: int = 0
    sx: int = 0
    sxx: int = 0
    st: int = 0
    stt: int = 0
    stx: int = 0
    low: float = 0.0
    high: float = 0.0
    first: tuple[int, float] = (0, 0.0)
    last: tuple[int, float] = (0, 0.0)

    def add(self, at: int, value: float) -> None:
        """Take in a finite reading of |value| <= MOST_MAGNITUDE at `at` (microseconds since the epoch)."""
        numerator, denominator = value.as_integer_ratio()
        scale = denominator.bit_length() - 1
        if scale > self.scale:
            self._rescale(scale)
        x = numerator << (self.scale - scale)
        t = at - self.origin
        self.sx += x
        self.sxx += x * x
        self.st += t
        self.stt += t * t
        self.stx += t * x
        self._extremes(1, value, value, (at, value), (at, value))

    def merge(self, other: "Partial") -> None:
        """Take in a part, whatever its origin.

        Its times u become t = u + d: sum t = sum u + n d, sum t^2 = sum u^2 + 2 d sum u + n d^2, sum tx = sum ux + d sum x.
        """
        if not other.count:
            return
        if other.scale > self.scale:
            self._rescale(other.scale)
        shift = self.scale - other.scale
        d = other.origin - self.origin
        sx = other.sx << shift
        self.sx += sx
        self.sxx += other.sxx << 2 * shift
        self.st += other.st + other.count * d
        self.stt += other.stt + 2 * d * other.st + other.count * d * d
        self.stx += (other.stx << shift) + d * sx
        self._extremes(other.count, other.low, other.high, other.first, other.last)

    def _rescale(self, scale: int) -> None:
        more = scale - self.scale
        self.scale = scale
        self.sx <<= more
        self.stx <<= more
        self.sxx <<= 2 * more

    def _extremes(self, count: int, low: float, high: float, first: tuple[int, float], last: tuple[int, float]) -> None:
        """Of readings at one moment the least is the first and the greatest the last, so that order does not matter."""
        if self.count:
            self.low, self.high = min(self.low, low), max(self.high, high)
            self.first, self.last = min(self.first, first), max(self.last, last)
        else:
            self.low, self.high, self.first, self.last = low, high, first, last
        self.count += count

    @property
    def mean(self) -> float:
        return self.sx / (self.count << self.scale)

    @property
    def stddev(self) -> float | None:
        """Of the sample (divided by n - 1); None for a single reading."""
        if self.count < 2:
            return None
        return root_of_ratio(self._spread, self.count * (self.count - 1) << 2 * self.scale)

    @property
    def slope(self) -> float | None:
        """By least squares, in units per second; None where all readings are of one moment."""
        times = self._times
        return self._together * SECOND / (times << self.scale) if times else None

    @property
    def r2(self) -> float | None:
        """Share of the variance that the slope explains, 0 to 1; None where value or time does not vary."""
        both = self._times * self._spread
        return self._together**2 / both if both else None

    @property
    def _spread(self) -> int:
        return self.count * self.sxx - self.sx * self.sx

    @property
    def _times(self) -> int:
        return self.count * self.stt - self.st * self.st

    @property
    def _together(self) -> int:
        return self.count * self.stx - self.st * self.sx

    def packed(self) -> tuple[object, ...]:
        """Plain values for msgpack or JSON, the unbounded integers as hexadecimal text."""
        sums = tuple(f"{number:x}" for number in (self.sx, self.sxx, self.st, self.stt, self.stx))
        return (self.origin, self.count, self.scale, *sums, self.low, self.high, list(self.first), list(self.last))

    @classmethod
    def unpacked(cls, packed: tuple[object, ...] | list[object]) -> "Partial":
        """What `packed` made, also after a way through msgpack or JSON.

        Raises:
            ValueError: not of that form.
        """
        if len(packed) != 12:
            raise ValueError(f"sums of a window have 12 parts, these have {len(packed)}")
        origin, count, scale = (int(str(number)) for number in packed[:3])
        sx, sxx, st, stt, stx = (int(str(text), 16) for text in packed[3:8])
        low, high = float(str(packed[8])), float(str(packed[9]))
        first, last = _moment(packed[10]), _moment(packed[11])
        return cls(origin, count, scale, sx, sxx, st, stt, stx, low, high, first, last)


def _moment(pair: object) -> tuple[int, float]:
    if not isinstance(pair, list | tuple) or len(pair) != 2:
        raise ValueError(f"not a moment and a value: {pair!r}")
    return int(pair[0]), float(pair[1])


def root_of_ratio(above: int, below: int) -> float:
    """Square root of above/below (above >= 0, below > 0) as a double, also where the ratio itself is beyond its range."""
    if not above:
        return 0.0
    shift = max(0, 64 + (below.bit_length() - above.bit_length()) // 2 + 1)
    return isqrt((above << 2 * shift) // below) / (1 << shift)
