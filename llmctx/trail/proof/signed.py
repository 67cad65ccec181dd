"""Which leaf hashes a notary has signed, for it signs none at two indices."""

from collections.abc import Iterable

from llmctx.trail.proof.anchor import Anchor

_PREFIX_BYTES = 8
_MAX_SEARCHES = 50  # a search takes 10 ms for a million records, collecting them all takes as long as a hundred


class SignedHashes:
    """The leaf hashes of an anchor. A few are searched there; whoever asks for more has all of them in memory."""

    def __init__(self, anchor: Anchor) -> None:
        self._anchor = anchor
        self._prefixes: set[bytes] | None = None
        self._searches = 0

    def add(self, hashes: Iterable[bytes]) -> None:
        """Take the hashes that were appended to the anchor."""
        if self._prefixes is not None:
            self._prefixes.update(each[:_PREFIX_BYTES] for each in hashes)

    def has(self, hashed: bytes) -> bool:
        """Whether a leaf hash stands at any index."""
        self._searches += 1
        if self._prefixes is None and self._searches > _MAX_SEARCHES:
            # Only where other processes append: about 75 bytes for each record.
            self._prefixes = {each[:_PREFIX_BYTES] for each in self._anchor.packed()}
        if self._prefixes is not None and hashed[:_PREFIX_BYTES] not in self._prefixes:
            return False
        return self._anchor.has(hashed)
