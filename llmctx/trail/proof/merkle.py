"""The tree of RFC 6962 over leaf hashes: its root, proofs that a leaf is in it, proofs that it only grew.

Everything here works on leaf hashes (32 bytes each); a leaf itself is hashed once, by `leaf_hash`. The proofs are
checked by the algorithms of RFC 9162, 2.1.3.2 and 2.1.4.2, which describe the same tree.
"""

import hashlib
from collections.abc import Iterable, Sequence

EMPTY_ROOT = hashlib.sha256(b"").digest()
"""The root of the tree without leaves."""
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

    The subtrees are those that the binary digits of the size name, the largest first: at most one a digit.
    """

    def __init__(self, hashes: Iterable[bytes] = ()) -> None:
        self.size = 0
        """How many leaf hashes were appended."""
        self._subtrees: list[bytes] = []
        for each in hashes:
            self.append(each)

    def append(self, hashed: bytes) -> None:
        """Add the next leaf hash."""
        node, full = hashed, self.size
        while full & 1:  # two equal subtrees make one of twice the size, as a carry does when counting
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
    """The siblings on the way from a leaf to the root of the tree over `hashes`, from below (RFC 6962, 2.1.1).

    Raises ValueError where the tree has no such leaf.
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


def consistency_proof(hashes: Sequence[bytes], size: int) -> list[bytes]:
    """What shows that the tree over the first `size` hashes is the beginning of the one over all (RFC 6962, 2.1.2).

    Raises ValueError where `size` is none from 1 to the number of hashes.
    """
    if not 0 < size <= len(hashes):
        raise ValueError(f"a tree of {len(hashes)} leaves did not grow from one of {size}")
    return _subproof(hashes, size, known=True)


def _subproof(hashes: Sequence[bytes], size: int, *, known: bool) -> list[bytes]:
    if size == len(hashes):
        return [] if known else [root(hashes)]
    split = _split(len(hashes))
    left, right = hashes[:split], hashes[split:]
    if size <= split:
        return [*_subproof(left, size, known=known), root(right)]
    return [*_subproof(right, size - split, known=False), root(left)]


def _split(count: int) -> int:
    """The largest power of two below `count`, which is at least 2."""
    return 1 << ((count - 1).bit_length() - 1)


def verify_inclusion(hashed: bytes, index: int, size: int, proof: Sequence[bytes], expected: bytes) -> bool:
    """Whether a leaf hash stands at `index` in the tree of `size` leaves with the root `expected`."""
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


def verify_consistency(size: int, later_size: int, proof: Sequence[bytes], first: bytes, later: bytes) -> bool:
    """Whether the tree with the root `later` grew out of the one with the root `first`."""
    if not 0 < size <= later_size:
        return False
    if size == later_size:
        return not proof and first == later
    path = [first, *proof] if size & (size - 1) == 0 else list(proof)
    if not path:
        return False
    at, last = size - 1, later_size - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    old = new = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            new = node_hash(new, sibling)
        at, last = at >> 1, last >> 1
    return last == 0 and old == first and new == later
