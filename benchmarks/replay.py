"""Rebuilding a recorded day with every section, prompt and conclusion, on one core; against bare json of the same."""

import gc
import json
import time
from collections.abc import Callable

from benchmarks.recorded import record_day
from benchmarks.stage import Stage
from llmctx.replay.corpus import Recorded
from llmctx.replay.rerun import Templates, rebuild

DECISIONS = 1560
"""Four symbols, a whole regular session of one-minute bars."""
ROUNDS = 5


async def measure(_: Stage) -> dict[str, str]:
    """replay_per_s: decisions a second of CPU, the best of five rounds; replay_ratio: against json.loads alone."""
    day, blobs = await record_day(DECISIONS)
    templates = Templates(blobs)

    def rebuild_all() -> None:
        for entry in day:
            fresh = Recorded(entry.leaf, entry.pieces, index=entry.index)  # nothing is read that was read before
            difference = rebuild(fresh, templates)
            assert difference is None, difference

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
        f"replay: {DECISIONS} decisions of {size / 1000:.1f} KB rebuilt in {rebuilt:.2f} s of one core; "
        f"json.loads of the same {parsed:.3f} s"
    )
    return {"replay_per_s": f"{DECISIONS / rebuilt:.0f} /s", "replay_ratio": f"{rebuilt / parsed:.1f} x"}


def _best(work: Callable[[], None]) -> float:
    """Seconds of CPU, the best of some rounds: others are on this machine too."""
    taken = []
    for _ in range(ROUNDS):
        began = time.process_time()
        work()
        taken.append(time.process_time() - began)
    return min(taken)
