"""The whole service, and a whole backtest, run from Python: no command line, no settings, no environment."""

import asyncio
import subprocess
import sys
from pathlib import Path

from redis.asyncio import Redis

from llmctx.backtest import Session, run_backtest
from llmctx.flow.rules import FeedRules
from llmctx.flow.simulated_market import simulate
from llmctx.pipeline import DecisionConfig
from llmctx.record import RecordMetadata, compose_unread
from llmctx.trail.log.log import Log
from llmctx.trail.proof.checkpoint import read_note
from llmctx.worker.home import open_home
from llmctx.worker.serve import ServeOptions, serve
from llmctx.worker.status import read_status
from tests.integration.conftest import POSITION, SETTLEMENT, ByRules, held_lease, hold, raise_tick
from tests.integration.program import until

MINUTES = 27


def config_of(completer: ByRules) -> DecisionConfig:
    return DecisionConfig(POSITION, completer)


async def test_a_service_settles_ticks_and_signs_them(valkey: Redis, valkey_url: str, tmp_path: Path) -> None:
    await hold(valkey, "AAPL", "MSFT")
    settled: set[str | None] = set()
    async with open_home(valkey_url, tmp_path) as home:
        stop = asyncio.Event()
        serving = asyncio.create_task(
            serve(home, config_of(ByRules()), stop, on_entry=lambda entry: settled.add(entry.record.get("tick")))
        )
        for symbol in ("AAPL", "MSFT"):
            await raise_tick(valkey, f"tick:{symbol}", symbol)
        await until(lambda: settled >= {"tick:AAPL", "tick:MSFT"})
        stop.set()
        await serving
    note = await Log(valkey).checkpoint()
    assert note is not None
    assert read_note(note).size == await Log(valkey).size()


async def test_without_a_notary_nothing_is_signed(valkey: Redis, valkey_url: str, tmp_path: Path) -> None:
    async with open_home(valkey_url, tmp_path) as home:
        stop = asyncio.Event()
        serving = asyncio.create_task(serve(home, config_of(ByRules()), stop, ServeOptions(notary=False)))
        await until(lambda: Log(valkey).size())
        stop.set()
        await serving
    assert await Log(valkey).checkpoint() is None


async def test_a_backtest_ends_with_its_books(tmp_path: Path) -> None:
    market = simulate(seed=6, days=1, minutes=MINUTES)
    completer, bars = ByRules(), []
    session = Session(list(market.items()), FeedRules(sectors=market.sectors))
    result = await run_backtest(config_of(completer), session, tmp_path, on_bar=lambda: bars.append(1))
    books = result.as_dict()
    assert books["prompt"].startswith("position/v")
    assert books["calls"] == completer.asked.total() > 0
    assert len(bars) == len(market.bars)
    assert (tmp_path / "redis").is_dir()


def test_tuning_the_garbage_collector_freezes_what_lives_and_leaves_garbage_collectable() -> None:
    script = (
        "import gc, weakref\nfrom llmctx.worker.serve import tune_gc\n"
        "class Node: pass\n"
        "before = gc.get_threshold()\ntune_gc()\n"
        "assert gc.get_freeze_count() > 10_000 and gc.get_threshold() > before\n"
        "node = Node(); node.me = node; gone = weakref.ref(node); del node; gc.collect()\nprint(gone() is None)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"


async def test_status_counts_the_records_of_the_last_minute_alone(
    valkey: Redis, valkey_url: str, tmp_path: Path
) -> None:
    async with open_home(valkey_url, tmp_path):
        lease, log = await held_lease(valkey), Log(valkey)
        seconds, _ = await valkey.time()
        for number in range(30):
            age_s = 3600 if number < 21 else 5
            metadata = RecordMetadata(recorded_at_ms=(seconds - age_s) * 1000, worker="test")
            draft = compose_unread("notice", None, f"record {number}", metadata)
            await log.append(draft._replace(at=number), lease.owner, SETTLEMENT)
        (partition,) = (await read_status(valkey, valkey_url))["partitions"]
        assert (partition["records"], partition["per_minute"]) == (30, 9)
