"""Hold recorded decisions against their own evidence."""

from collections.abc import Iterable, Iterator

from llmctx.replay.corpus import Recorded
from llmctx.replay.rerun import Difference, Templates, check_evidence, rebuild


def differing(entries: Iterable[Recorded], blobs: dict[str, bytes]) -> Iterator[tuple[Recorded, Difference]]:
    """Each record that its evidence does not give again, with the first difference."""
    templates = Templates(blobs)
    for entry in entries:
        difference = check_evidence(entry) or rebuild(entry, templates)
        if difference is not None:
            yield entry, difference
