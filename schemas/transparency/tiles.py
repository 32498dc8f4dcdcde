"""The shape in which logs publish their tree and entries: C2SP tlog-tiles (c2sp.org/tlog-tiles).

A tile of level L holds up to 256 hashes of complete subtrees of 256**L leaves; an entry bundle up to 256 entries, each
behind its length. Pure.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from schemas.transparency.merkle import HASH_BYTES, Provable, Tree, node_hash

WIDTH = 256
HEIGHT = 8
MOST_LEVEL = 63
_PLACE = re.compile(r"((?:x[0-9]{3}/)*[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?")


class Tile(NamedTuple):
    """`level` is None for an entry bundle; `width` is how many hashes or entries it holds, 1 to 256."""

    level: int | None
    number: int
    width: int = WIDTH


class BadTile(ValueError):
    """A path that names no tile, or bytes that are none."""


def path_of(tile: Tile) -> str:
    """Such as `tile/0/x001/234` or `tile/entries/000.p/7`."""
    digits = f"{tile.number:03d}"
    digits = "0" * (-len(digits) % 3) + digits
    groups = [digits[start : start + 3] for start in range(0, len(digits), 3)]
    place = "/".join([*(f"x{group}" for group in groups[:-1]), groups[-1]])
    partial = "" if tile.width == WIDTH else f".p/{tile.width}"
    return f"tile/{'entries' if tile.level is None else tile.level}/{place}{partial}"


def parse_path(path: str) -> Tile:
    """The tile of a path as `path_of` writes it, in that one form only.

    Raises:
        BadTile: it names none.
    """
    start, _, rest = path.removeprefix("tile/").partition("/")
    match = _PLACE.fullmatch(rest)
    if not path.startswith("tile/") or match is None or len(rest) > 60:
        raise BadTile(f"{path[:100]} names no tile")
    index = int(match[1].replace("x", "").replace("/", ""))
    width = WIDTH if match[2] is None else int(match[2])
    if start != "entries" and not re.fullmatch(r"0|[1-9][0-9]?", start):
        raise BadTile(f"{start[:20]} is no level of a tile")
    tile = Tile(None if start == "entries" else int(start), index, width)
    if path_of(tile) != path or width > WIDTH or (tile.level or 0) > MOST_LEVEL:
        raise BadTile(f"{path[:100]} names no tile")
    return tile


def tile_of(tree: Tree, tile: Tile) -> bytes:
    """The hashes of a tile.

    Raises:
        OutOfRange: the tree is too small for it.
    """
    if tile.level is None:
        raise BadTile("an entry bundle holds no hashes")
    return tree.hashes(HEIGHT * tile.level, tile.number * WIDTH, tile.width)


def bundle_of(entries: Iterable[bytes]) -> bytes:
    """Entries as a bundle. Each must be shorter than 65,536 bytes."""
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)


def entries_of(bundle: bytes) -> list[bytes]:
    """
    Raises:
        BadTile: these bytes are no bundle.
    """
    entries, place = [], 0
    while place < len(bundle):
        length = int.from_bytes(bundle[place : place + 2], "big")
        entry = bundle[place + 2 : place + 2 + length]
        if len(bundle) < place + 2 or len(entry) != length:
            raise BadTile(f"the bundle ends within an entry, at {place}")
        entries.append(entry)
        place += 2 + length
    return entries


Fetch = Callable[[Tile], bytes]
"""Gives a tile's bytes; what it raises (it is away) leaves the functions below."""


class TiledTree(Provable):
    """A published tree of a certain size, read tile by tile. Tiles are asked for at the widths that a tree of this size
    has; what is no tile of that width is BadTile."""

    def __init__(self, size: int, fetch: Fetch) -> None:
        self._size, self._fetch = size, fetch
        self._tiles: dict[Tile, bytes] = {}

    @property
    def size(self) -> int:
        return self._size

    def complete(self, height: int, index: int) -> bytes:
        level, within = divmod(height, HEIGHT)
        first = index << within
        data = self._tile(level, first // WIDTH)
        place = first % WIDTH
        return _folded([data[n * HASH_BYTES : (n + 1) * HASH_BYTES] for n in range(place, place + (1 << within))])

    def _tile(self, level: int, index: int) -> bytes:
        wanted = Tile(level, index, min(WIDTH, (self._size >> (HEIGHT * level)) - index * WIDTH))
        known = self._tiles.get(wanted)
        if known is None:
            known = self._fetch(wanted)
            if len(known) != wanted.width * HASH_BYTES:
                raise BadTile(f"{path_of(wanted)} is {len(known)} bytes, not {wanted.width * HASH_BYTES}")
            self._tiles[wanted] = known
        return known


def _folded(hashes: Sequence[bytes]) -> bytes:
    """The root over a power of two of hashes."""
    while len(hashes) > 1:
        hashes = [node_hash(hashes[n], hashes[n + 1]) for n in range(0, len(hashes), 2)]
    return hashes[0]
