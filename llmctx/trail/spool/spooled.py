"""Records from a spool, unpacked with the dictionaries that the spool holds."""

from llmctx.trail.log.dictionary import Dictionary
from llmctx.trail.log.entry import FIELD, PROOF, Entry, restored
from llmctx.trail.log.packing import reference_of
from llmctx.trail.spool.segment import DICTIONARY
from llmctx.trail.spool.spool import Spool


class SpooledEntries:
    """A partition's spooled records; callers ask in the order of indices."""

    def __init__(self, spool: Spool, partition: int) -> None:
        self._spool = spool
        self._partition = partition
        self._dictionaries: dict[bytes, Dictionary] = {}

    def entry(self, index: int) -> Entry | None:
        """The record at an index, None if the spool does not hold it.

        Raises RecordError if it cannot be unpacked, SpoolError if the spool cannot be read.
        """
        frame = self._spool.frame(index)
        if frame is None:
            return None
        reference = reference_of(frame.content)
        if reference is not None and not self._dictionaries:
            for kept in self._spool.blobs(index):
                if kept.kind == DICTIONARY:
                    dictionary = Dictionary(kept.content)
                    self._dictionaries[dictionary.reference] = dictionary
        fields = {FIELD: frame.content} | ({PROOF: frame.proof} if frame.proof else {})
        return restored(fields, index, self._partition, self._dictionaries.get(reference or b""))

    def leaf_hash(self, index: int) -> bytes | None:
        """The leaf hash of the record at an index, None if the spool does not hold it or cannot read it."""
        entry = self.entry(index)
        return None if entry is None or entry.lacks_leaf else entry.digest
