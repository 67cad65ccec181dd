"""Rebuild a recorded day on one core: every section, prompt and conclusion; compared with json.loads of the same."""

import gc
import json
import time
from collections.abc import Callable

from benchmarks.day import record_day
from benchmarks.stage import Stage
from llmctx.replay.corpus import BlobCache, Recorded
from llmctx.replay.rerun import rebuild

DECISIONS = 1560
"""Four symbols, a whole regular session of one-minute bars."""
ROUNDS = 5


async def measure(_: Stage) -> dict[str, str]:
    """Measure replay_per_s, decisions per second of CPU (best of five rounds), and replay_ratio, against json.loads."""
    day, blobs = await record_day(DECISIONS)
    cache = BlobCache(blobs)

    def rebuild_all() -> None:
        for entry in day:
            fresh = Recorded(entry.leaf, entry.pieces, index=entry.index)  # nothing is cached from earlier rounds
            found = rebuild(fresh, cache)
            assert found.same, found.differences[0]

    def parse_all() -> None:
        for entry in day:
            json.loads(entry.leaf)
            for piece in entry.pieces.values():
                json.loads(piece)

    gc.freeze()
    try:
        rebuilt, parsed = _best(rebuild_all), _best(parse_all)
    finally:
        gc.unfreeze()
    size = sum(len(entry.leaf) + sum(map(len, entry.pieces.values())) for entry in day) / DECISIONS
    print(
        f"replay: {DECISIONS} decisions of {size / 1000:.1f} KB rebuilt in {rebuilt:.2f} s on one core; "
        f"json.loads of the same {parsed:.3f} s"
    )
    return {"replay_per_s": f"{DECISIONS / rebuilt:.0f} /s", "replay_ratio": f"{rebuilt / parsed:.1f} x"}


def _best(work: Callable[[], None]) -> float:
    """Return the least CPU time of the rounds in seconds, since other processes share the machine."""
    taken = []
    for _ in range(ROUNDS):
        start_s = time.process_time()
        work()
        taken.append(time.process_time() - start_s)
    return min(taken)
