"""What this very process has appended: it knows its own records, so it does not check their proofs again."""

_MAX_ENTRIES = 20_000
_appended: dict[tuple[int, int, bytes], None] = {}


def remember(partition: int, index: int, leaf_hash: bytes) -> None:
    """Note that this process has just appended a record at this place; the oldest notes are dropped."""
    _appended[partition, index, leaf_hash] = None
    if len(_appended) > _MAX_ENTRIES:
        del _appended[next(iter(_appended))]


def is_ours(partition: int, index: int, leaf_hash: bytes) -> bool:
    """Whether this process has lately appended a record with this leaf hash at this place."""
    return (partition, index, leaf_hash) in _appended
