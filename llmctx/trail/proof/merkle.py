"""The Merkle tree of RFC 6962 over leaf hashes: its root, and proofs that a leaf is in it.

Everything here takes leaf hashes (32 bytes each); `leaf_hash` makes them. Proofs are checked by the algorithm of
RFC 9162, 2.1.3.2, which describes the same tree.
"""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Self

EMPTY_ROOT = hashlib.sha256(b"").digest()
"""The root of the empty tree."""
HASH_BYTES = 32
"""The size of every hash."""


def leaf_hash(leaf: bytes) -> bytes:
    """SHA-256 of a zero byte and the leaf (RFC 6962, 2.1)."""
    return hashlib.sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256 of a one byte and both children (RFC 6962, 2.1)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class CompactRange:
    """A tree that grows by one leaf hash at a time and keeps only the roots of its full subtrees.

    There is one subtree for each 1 in the binary form of the size, the largest first.
    """

    def __init__(self, hashes: Iterable[bytes] = ()) -> None:
        self.size = 0
        """The number of leaves."""
        self._subtrees: list[bytes] = []
        for each in hashes:
            self.append(each)

    @classmethod
    def resume(cls, size: int, subtrees: Iterable[bytes]) -> Self:
        """The tree of this size with these full subtrees, the largest first.

        Raises ValueError if a tree of this size has another number of them.
        """
        tree = cls()
        tree.size, tree._subtrees = size, list(subtrees)
        if size < 0 or len(tree._subtrees) != size.bit_count():
            raise ValueError(f"a tree of {size} leaves has {size.bit_count()} full subtrees, not {len(tree.subtrees)}")
        return tree

    @property
    def subtrees(self) -> tuple[bytes, ...]:
        """The roots of its full subtrees, the largest first; with the size they are enough for a tree to grow."""
        return tuple(self._subtrees)

    def append(self, hashed: bytes) -> None:
        """Append a leaf hash."""
        node, full = hashed, self.size
        while full & 1:  # two subtrees of equal size merge, like a carry in binary addition
            node = node_hash(self._subtrees.pop(), node)
            full >>= 1
        self._subtrees.append(node)
        self.size += 1

    def root(self) -> bytes:
        """The root of the tree so far."""
        if not self._subtrees:
            return EMPTY_ROOT
        node = self._subtrees[-1]
        for left in reversed(self._subtrees[:-1]):
            node = node_hash(left, node)
        return node


def root(hashes: Iterable[bytes]) -> bytes:
    """The root of the tree over these leaf hashes."""
    return CompactRange(hashes).root()


def inclusion_proof(hashes: Sequence[bytes], index: int) -> list[bytes]:
    """The siblings on the path from a leaf to the root of the tree over `hashes`, bottom up (RFC 6962, 2.1.1).

    Raises ValueError if the tree has no such leaf.
    """
    if not 0 <= index < len(hashes):
        raise ValueError(f"a tree of {len(hashes)} leaves has no leaf {index}")
    if len(hashes) == 1:
        return []
    split = _split(len(hashes))
    left, right = hashes[:split], hashes[split:]
    if index < split:
        return [*inclusion_proof(left, index), root(right)]
    return [*inclusion_proof(right, index - split), root(left)]


def _split(count: int) -> int:
    """The largest power of two below `count`, which is at least 2."""
    return 1 << ((count - 1).bit_length() - 1)


def verify_inclusion(hashed: bytes, index: int, size: int, proof: Sequence[bytes], expected: bytes) -> bool:
    """Whether the proof leads from a leaf hash at `index` in a tree of `size` leaves to the root `expected`."""
    if not 0 <= index < size:
        return False
    at, last, node = index, size - 1, hashed
    for sibling in proof:
        if last == 0:
            return False
        if at & 1 or at == last:
            node = node_hash(sibling, node)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            node = node_hash(node, sibling)
        at, last = at >> 1, last >> 1
    return last == 0 and node == expected
