"""QR codes of claim tokens, as images in data URIs.

A token is made within a request, in which nothing else goes on, so what segno takes 8 ms for is done in half of one:
- choosing the mask that scans best is left out: tokens are random, so that every mask is as good as the next (1.1 ms);
- the modules of a text of known length are an affine function of its bits (error correction is linear, a mask is a
  constant): they are the sum of the modules that each bit turns over. Those are asked of segno, once (0.1 ms);
- the images are drawn here.
"""

import base64
import struct
import threading
import zlib

import numpy as np
import segno

MASK = 3
QUIET = 4  # light modules around it (ISO/IEC 18004, 6.3.8)
SCALE = 6  # pixels of a module
TOKEN_LENGTH = 86
_PNG = b"\x89PNG\r\n\x1a\n"

Modules = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]


def modules(text: bytes) -> Modules:
    """The modules of a text's code with its quiet zone; 1 is dark. Error correction M: 15 % may be unreadable."""
    matrix = segno.make_qr(text, error="m", mode="byte", mask=MASK, boost_error=False).matrix
    found = np.array([list(row) for row in matrix], np.uint8)
    return np.pad(found, QUIET)


class Basis:
    """What each bit of a text of one length turns over. Takes a second to make."""

    def __init__(self, length: int) -> None:
        self._zero = modules(bytes(length))
        turned = []
        for bit in range(8 * length):
            text = (1 << (8 * length - 1 - bit)).to_bytes(length)
            turned.append(np.packbits(modules(text) ^ self._zero))
        self._turned = np.stack(turned)

    def modules(self, text: bytes) -> Modules:
        """As the function of this name."""
        bits = np.unpackbits(np.frombuffer(text, np.uint8)).astype(bool)
        turned = np.bitwise_xor.reduce(self._turned[bits], axis=0)
        found: Modules = np.unpackbits(turned, count=self._zero.size).reshape(self._zero.shape) ^ self._zero
        return found


class QrCodes:
    """The codes of tokens. What makes them fast is made beside the first ones."""

    def __init__(self, length: int = TOKEN_LENGTH) -> None:
        self._length = length
        self._basis: Basis | None = None
        self._making: threading.Thread | None = None

    def modules(self, token: str) -> Modules:
        text = token.encode()
        if self._basis is not None and len(text) == self._length:
            return self._basis.modules(text)
        if self._making is None:
            self._making = threading.Thread(target=self._make, name="qr-codes", daemon=True)
            self._making.start()
        return modules(text)

    def _make(self) -> None:
        self._basis = Basis(self._length)


def svg(code: Modules) -> str:
    """As a data URI of an SVG image."""
    size = len(code)
    edges = np.diff(code.astype(np.int8), axis=1, prepend=0, append=0)
    rows, starts = np.nonzero(edges == 1)
    widths = np.nonzero(edges == -1)[1] - starts
    runs = zip(starts.tolist(), rows.tolist(), widths.tolist(), strict=True)
    path = "".join([f"M{x} {y}h{width}v1h-{width}z" for x, y, width in runs])
    image = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size} {size}" shape-rendering="crispEdges">'
        f'<path fill="#fff" d="M0 0h{size}v{size}H0z"/><path d="{path}"/></svg>'
    )
    return "data:image/svg+xml;base64," + base64.b64encode(image.encode()).decode()


def png(code: Modules) -> str:
    """As a data URI of a PNG image of one bit a pixel."""
    size = len(code) * SCALE
    lines = np.packbits(np.repeat(1 - code, SCALE, axis=1), axis=1)
    filtered = np.repeat(np.pad(lines, ((0, 0), (1, 0))), SCALE, axis=0).tobytes()  # each line begins with its filter: none
    header = struct.pack(">IIBBBBB", size, size, 1, 0, 0, 0, 0)
    image = _PNG + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(filtered, 1)) + _chunk(b"IEND", b"")
    return "data:image/png;base64," + base64.b64encode(image).decode()


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
