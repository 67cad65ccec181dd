import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmctx.trail.proof import merkle

# Published vectors of Certificate Transparency: google/certificate-transparency, python/ct/crypto/merkle_test.py.
LEAVES = [
    bytes.fromhex(text)
    for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
HASHES = [merkle.leaf_hash(leaf) for leaf in LEAVES]

trees = st.lists(st.binary(max_size=3).map(merkle.leaf_hash), min_size=1, max_size=70)


def by_the_definition(hashes: list[bytes]) -> bytes:
    """RFC 6962, 2.1, word for word: the tree is split at the largest power of two below its size."""
    if not hashes:
        return hashlib.sha256().digest()
    if len(hashes) == 1:
        return hashes[0]
    split = max(1 << bit for bit in range(10) if 1 << bit < len(hashes))
    left, right = by_the_definition(hashes[:split]), by_the_definition(hashes[split:])
    return hashlib.sha256(b"\x01" + left + right).digest()


def changed(hashed: bytes) -> bytes:
    return bytes([hashed[0] ^ 1]) + hashed[1:]


def test_roots_are_the_published_ones() -> None:
    assert [merkle.root(HASHES[: size + 1]).hex() for size in range(8)] == ROOTS


def test_a_published_node_hash_comes_out() -> None:
    left, right = bytes(range(32)), bytes(range(32, 64))
    expected = "1a378704c17da31e2d05b6d121c2bb2c7d76f6ee6fa8f983e596c2d034963c57"
    assert merkle.node_hash(left, right).hex() == expected


def test_the_empty_tree_has_the_hash_of_nothing() -> None:
    assert merkle.root([]).hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@given(trees)
def test_a_compact_range_has_the_root_of_the_definition_at_every_size(hashes: list[bytes]) -> None:
    tree = merkle.CompactRange()
    for size, each in enumerate(hashes, 1):
        tree.append(each)
        assert (tree.size, tree.root()) == (size, by_the_definition(hashes[:size]))


@given(trees, st.data())
def test_every_leaf_is_proven_at_its_index_and_at_no_other(hashes: list[bytes], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(hashes) - 1))
    proof, root, size = merkle.inclusion_proof(hashes, index), merkle.root(hashes), len(hashes)
    assert merkle.verify_inclusion(hashes[index], index, size, proof, root)
    assert not merkle.verify_inclusion(changed(hashes[index]), index, size, proof, root)
    assert not merkle.verify_inclusion(hashes[index], index, size, proof, changed(root))
    assert not merkle.verify_inclusion(hashes[index], index, size, [*proof, root], root)
    assert not merkle.verify_inclusion(hashes[index], size, size, proof, root)
    if proof:
        at = data.draw(st.integers(0, len(proof) - 1))
        altered = [*proof[:at], changed(proof[at]), *proof[at + 1 :]]
        assert not merkle.verify_inclusion(hashes[index], index, size, altered, root)
        assert not merkle.verify_inclusion(hashes[index], index, size, proof[:-1], root)


@pytest.mark.parametrize("index", [-1, 8])
def test_a_leaf_that_a_tree_does_not_have_cannot_be_proven(index: int) -> None:
    with pytest.raises(ValueError, match=f"no leaf {index}"):
        merkle.inclusion_proof(HASHES, index)
