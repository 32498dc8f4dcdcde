"""Tiles in the shape of C2SP tlog-tiles: their paths, their bytes, and proofs made of nothing but them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.transparency.merkle import OutOfRange, Tree, leaf_hash
from schemas.transparency.tiles import BadTile, Tile, TiledTree, bundle_of, entries_of, parse_path, path_of, tile_of


def tree_of(count: int) -> Tree:
    tree = Tree()
    for number in range(count):
        tree.append(leaf_hash(str(number).encode()))
    return tree


@pytest.mark.parametrize(
    ("tile", "path"),
    [
        (Tile(0, 0), "tile/0/000"),
        (Tile(0, 1234067), "tile/0/x001/x234/067"),  # the specification's example
        (Tile(63, 999, 1), "tile/63/999.p/1"),
        (Tile(None, 1000, 255), "tile/entries/x001/000.p/255"),
    ],
)
def test_paths(tile: Tile, path: str) -> None:
    assert path_of(tile) == path
    assert parse_path(path) == tile


@pytest.mark.parametrize(
    "path",
    [
        "tile/0/0",
        "tile/00/000",
        "tile/64/000",
        "tile/0/x000/001",
        "tile/0/001/002",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/300",
        "tile/0/000.p/01",
        "tile/data/000",
        "tile/-1/000",
        "tile/0/-01",
        "tile/0/000/",
        "tile/0/" + "x001/" * 30 + "000",
        "entries/000",
        "",
    ],
)
def test_paths_that_name_no_tile(path: str) -> None:
    with pytest.raises(BadTile):
        parse_path(path)


def test_the_tiles_of_the_specifications_example() -> None:
    """A tree of 70,000: 273 full tiles and one of 112; one full of level 1 and one of 17; one of level 2, of 1."""
    tree = tree_of(70_000)
    assert len(tile_of(tree, Tile(0, 272))) == 256 * 32
    assert len(tile_of(tree, Tile(0, 273, 112))) == 112 * 32
    assert len(tile_of(tree, Tile(1, 1, 17))) == 17 * 32
    assert tile_of(tree, Tile(2, 0, 1)) == tree.root(65_536)
    for missing in (Tile(0, 273, 113), Tile(1, 1, 18), Tile(2, 0, 2), Tile(3, 0, 1)):
        with pytest.raises(OutOfRange):
            tile_of(tree, missing)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 2000), st.data())
def test_a_tree_read_by_tiles_is_the_tree(size: int, data: st.DataObject) -> None:
    tree = tree_of(size)
    tiled = TiledTree(size, lambda tile: tile_of(tree, tile))
    assert tiled.root() == tree.root()
    first = data.draw(st.integers(1, size))
    index = data.draw(st.integers(0, size - 1))
    assert tiled.root(first) == tree.root(first)
    assert tiled.consistency(first) == tree.consistency(first, size)
    assert tiled.inclusion(index) == tree.inclusion(index, size)


def test_a_tile_of_a_wrong_length_is_refused() -> None:
    tiled = TiledTree(3, lambda tile: b"short")
    with pytest.raises(BadTile, match="is 5 bytes, not 96"):
        tiled.root()


@given(st.lists(st.binary(max_size=300), max_size=20))
def test_bundles(entries: list[bytes]) -> None:
    bundle = bundle_of(entries)
    assert entries_of(bundle) == entries
    if bundle:
        with pytest.raises(BadTile):
            entries_of(bundle + b"\0")
