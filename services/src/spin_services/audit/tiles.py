"""Where the tree's hashes are kept: tiles of 32 hashes, so that growing and proving read a handful of rows.

- A tile at level l holds the roots of 32 neighbouring perfect subtrees of 32^l leaves each. A full tile never changes.
- The last tile of each level is the tree's right edge: with it alone the tree grows, and its root is known.
- Any perfect subtree lies inside one tile, so a proof needs a few tiles per level and no leaf.
Hashing is RFC 9162's; this module holds no I/O.
"""

from collections.abc import Callable, Iterable, Sequence

from spin_envelope.merkle import Frontier, Node, node_hash

HEIGHT = 5
WIDTH = 1 << HEIGHT
HASH = 32

TileKey = tuple[int, int]
NodeKey = tuple[int, int]


def edge_tiles(size: int) -> list[TileKey]:
    """The unfinished tiles of a tree of that size, level by level; a level that ends with a full tile has none."""
    keys = []
    level = 0
    while size >> (HEIGHT * level):
        if (size >> (HEIGHT * level)) % WIDTH:
            keys.append((level, size >> (HEIGHT * (level + 1))))
        level += 1
    return keys


def subtree_root(hashes: Sequence[bytes]) -> bytes:
    """The root over a power of two of neighbouring nodes."""
    row = list(hashes)
    while len(row) > 1:
        row = [node_hash(row[i], row[i + 1]) for i in range(0, len(row), 2)]
    return row[0]


def split(tile: bytes) -> list[bytes]:
    return [tile[i : i + HASH] for i in range(0, len(tile), HASH)]


class Edge:
    """The right edge of one tree; `extend` grows it and tells which tiles changed."""

    def __init__(self, size: int, tiles: dict[TileKey, bytes]) -> None:
        self.size = size
        self._levels: list[list[bytes]] = []
        for level, index in edge_tiles(size):
            self._level(level).extend(split(tiles[level, index]))

    def _level(self, level: int) -> list[bytes]:
        while len(self._levels) <= level:
            self._levels.append([])
        return self._levels[level]

    def extend(self, leaf_hashes: Iterable[bytes]) -> dict[TileKey, bytes]:
        """Add leaves; return the tiles to store, full ones and the new edge."""
        changed: dict[TileKey, bytes] = {}
        touched = 0
        for leaf_hash in leaf_hashes:
            self._level(0).append(leaf_hash)
            self.size += 1
            level = 0
            while len(self._levels[level]) == WIDTH:
                full = self._levels[level]
                changed[level, (self.size >> (HEIGHT * (level + 1))) - 1] = b"".join(full)
                self._levels[level] = []
                level += 1
                self._level(level).append(subtree_root(full))
            touched = max(touched, level)
        for level in range(touched + 1):
            if level < len(self._levels) and self._levels[level]:
                changed[level, self.size >> (HEIGHT * (level + 1))] = b"".join(self._levels[level])
        return changed


def tile_of(node: NodeKey) -> TileKey:
    """The tile in which the perfect subtree (height, index) can be found."""
    height, index = node
    return height // HEIGHT, (index << (height % HEIGHT)) >> HEIGHT


def node_in(tile: bytes, node: NodeKey) -> bytes:
    """The root of a perfect subtree, out of its tile."""
    height, index = node
    span = 1 << (height % HEIGHT)
    start = (index * span) % WIDTH
    return subtree_root(split(tile[start * HASH : (start + span) * HASH]))


class NodesWanted:
    """Collects which nodes a proof asks for, so that their tiles can be read in one go before the proof is made."""

    def __init__(self) -> None:
        self.tiles: set[TileKey] = set()

    def __call__(self, height: int, index: int) -> bytes:
        self.tiles.add(tile_of((height, index)))
        return bytes(HASH)


def node_reader(tiles: dict[TileKey, bytes]) -> Node:
    def read(height: int, index: int) -> bytes:
        return node_in(tiles[tile_of((height, index))], (height, index))

    return read


def tiles_for(make: Callable[[Node], object]) -> set[TileKey]:
    """The tiles that something made of nodes will read; `make` is called with a reader that only takes notes."""
    wanted = NodesWanted()
    make(wanted)
    return wanted.tiles


def root_of(node: Node, size: int) -> bytes:
    """The root of the tree's first `size` leaves."""
    heights = [height for height in reversed(range(size.bit_length())) if size >> height & 1]
    return Frontier(size, [node(height, (size >> height) - 1) for height in heights]).root()
