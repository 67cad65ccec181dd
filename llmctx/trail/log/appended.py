"""What this process has appended: it knows its own records, so it does not check their proofs again.

Each partition has an array of fixed size, because a service runs for months. An overwritten note only costs a check.
"""

import struct
from collections import defaultdict

_SLOTS = 4096
_NOTE = struct.Struct(">Q32s")
_notes: defaultdict[int, bytearray] = defaultdict(lambda: bytearray(_SLOTS * _NOTE.size))


def remember(partition: int, index: int, leaf_hash: bytes) -> None:
    """Note that this process has just appended a record at this place."""
    _NOTE.pack_into(_notes[partition], index % _SLOTS * _NOTE.size, index, leaf_hash)


def is_ours(partition: int, index: int, leaf_hash: bytes) -> bool:
    """Whether this process has recently appended a record with this leaf hash at this place."""
    notes = _notes.get(partition)
    return notes is not None and _NOTE.unpack_from(notes, index % _SLOTS * _NOTE.size) == (index, leaf_hash)
