"""The join (read, check, type, age, facts) against one MGET and pydantic on the same values."""

import statistics
import time
from collections.abc import Awaitable, Callable

from benchmarks.stage import SYMBOLS, Stage
from llmctx.context.package import build_package
from llmctx.context.read_rules import ReadRules
from llmctx.context.reader import read_snapshot
from llmctx.schema.keys import model_of, section_keys

ROUNDS = 20
CALLS = 100


async def measure(stage: Stage) -> dict[str, str]:
    """join_ratio: p50 of the join / p50 of MGET + model_validate_json."""
    rules = ReadRules()
    keys = section_keys(SYMBOLS[0], rules.signal_types, 0)
    models = [model_of(section) for section in keys]

    async def join() -> None:
        _ = build_package(await read_snapshot(stage.redis, SYMBOLS[0], 0, rules)).facts

    async def bare() -> None:
        values = await stage.redis.mget(list(keys.values()))
        for model, value in zip(models, values, strict=True):
            if value is not None:
                model.model_validate_json(value)

    times: dict[str, list[float]] = {"join": [], "bare": []}
    for _ in range(ROUNDS):
        times["bare"] += await _time(bare)
        times["join"] += await _time(join)
    joined, plain = statistics.median(times["join"]), statistics.median(times["bare"])
    print(f"join: {joined * 1e6:.0f} us, MGET + pydantic: {plain * 1e6:.0f} us (p50 of {ROUNDS * CALLS})")
    return {"join_ratio": f"{joined / plain:.2f} x"}


async def _time(call: Callable[[], Awaitable[None]]) -> list[float]:
    times = []
    for _ in range(CALLS):
        began = time.perf_counter()
        await call()
        times.append(time.perf_counter() - began)
    return times
