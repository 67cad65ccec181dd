"""What the tests on real servers share: live keys of a symbol, ready records, a completer that answers by rules."""

import asyncio
import json
import logging
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar, cast

import pytest
from redis.asyncio import Redis

from llmctx import canonical
from llmctx.assets import asset
from llmctx.context.tick import Tick
from llmctx.decision.trigger import TriggerPolicy
from llmctx.decision.verdict import GuardPolicy
from llmctx.llm.budget import BudgetTerms
from llmctx.llm.completion import Completer, Completion, Outcome, read_completion
from llmctx.llm.output import OutputSchema
from llmctx.llm.rulebook import Facts, decide
from llmctx.llm.standin import Standin
from llmctx.pipeline import DecisionConfig, Pipeline
from llmctx.prompt.render import Prompt
from llmctx.prompt.template import load_template
from llmctx.record import RecordMetadata, compose_unread
from llmctx.schema import keys
from llmctx.trail.log.entry import PROOF, Entry
from llmctx.trail.log.instance import bind_instance, read_state_instance
from llmctx.trail.log.lease import Lease
from llmctx.trail.log.log import Draft, Log, Settlement
from llmctx.trail.log.people import PEOPLE_KEY
from llmctx.trail.proof.writer import load_or_make_writer
from llmctx.worker import partition, settler
from llmctx.worker.home import TrailHome
from llmctx.worker.partition import serve_partition
from tests.conftest import Messages
from tests.integration.program import Program, until
from tests.unit.makers import stored

T = TypeVar("T")

POSITION = load_template(asset("prompts"), "position")
"""The newest prompt for a position; loaded once, because it is compiled then."""
NOW = "2026-03-02T15:00:00.000Z"
"""The time of the live keys below, by the bars clock."""
SETTLEMENT = Settlement(keys.ticks(0), keys.attempts(0), keys.DECIDERS)


def live(symbol: str, *, price: float = 100.0, **position: object) -> dict[str, str]:
    """The keys on which a decision about a symbol can be asked for."""
    held = {
        "symbol": symbol, "entry_price": 100.0, "current_price": price, "quantity": 10, "side": "long",
        "entry_time": "2026-03-02T14:30:00.000Z", "unrealized_pnl": 0, "unrealized_pnl_pct": 0,
        "stop_loss": 90.0, "take_profit": 120.0, "last_update": NOW,
    }  # fmt: skip
    session = {"last": price, "open": 100.0, "high": 130.0, "low": 80.0, "volume": 1000}
    state = {
        "state": "running", "market_status": "open", "active_positions_count": 1, "watchlist_count": 1,
        "last_scan_time": None, "timestamp": NOW, "clock": "bars",
    }  # fmt: skip
    return {
        f"positions:active:{symbol}": json.dumps(held | position),
        f"stocks:price:{symbol}": json.dumps({"price": session, "timestamp": NOW}),
        "system:state": json.dumps(state),
    }


async def hold(redis: Redis, *symbols: str) -> None:
    """Put live keys there for each symbol."""
    for symbol in symbols:
        await redis.mset(live(symbol))


async def raise_tick(redis: Redis, tick_id: str, symbol: str, partition: int = 0) -> str:
    """The entry id of a tick that was raised now."""
    entry_id = await redis.xadd(keys.ticks(partition), Tick(id=tick_id, symbol=symbol).fields())
    return cast("bytes", entry_id).decode()


def draft(tick_id: str, symbol: str = "AAPL", *, conflated: Iterable[str] = (), blobs: Iterable[bytes] = ()) -> Draft:
    """A record that settles a tick and says nothing more."""
    metadata = RecordMetadata(recorded_at_ms=1000, worker="test", conflated=tuple(conflated))
    made = compose_unread("skipped", Tick(id=tick_id, symbol=symbol), "no reason", metadata)
    return made._replace(blobs=tuple(blobs))


def signed_fields(state_dir: Path, leaf: bytes, pieces: Mapping[str, bytes], partition: int = 0) -> dict[bytes, bytes]:
    """The fields of a log entry, with the proof of a state directory's writer key."""
    instance = read_state_instance(state_dir)
    assert instance is not None
    proof = load_or_make_writer(state_dir, instance.id).prove(partition, leaf)
    return stored(leaf, pieces) | {PROOF: proof}


async def held_lease(redis: Redis) -> Lease:
    """The lease of partition 0, taken."""
    lease = Lease(redis, 0)
    assert await lease.take() is None
    return lease


class ByRules:
    """Answers as the stand-in does, without the way over HTTP, and notes who is asked about at the same time."""

    def __init__(self, *, pauses: int = 0) -> None:
        self.asked: Counter[str] = Counter()
        self.overlaps: list[str] = []
        self.most_at_once = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self._busy: Counter[str] = Counter()
        self._pauses = pauses

    @property
    def busy(self) -> bool:
        """Whether somebody is asked about now."""
        return self._busy.total() > 0

    async def complete(self, prompt: Prompt, output: OutputSchema) -> Completion:
        text = prompt.messages[1].content
        symbol = text.partition("Position in ")[2].partition(",")[0]
        self.asked[symbol] += 1
        self._busy[symbol] += 1
        if self._busy[symbol] > 1:
            self.overlaps.append(symbol)
        self.most_at_once = max(self.most_at_once, self._busy.total())
        try:
            for _ in range(self._pauses):
                await asyncio.sleep(0)
            await self.gate.wait()
        finally:
            self._busy[symbol] -= 1
        message = {"role": "assistant", "content": json.dumps(decide(Facts(text)))}
        body = {"id": "x", "model": "rules", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
        return read_completion(json.dumps(body).encode(), {"schema": output.name, "schema_sha256": output.sha256}, ())


class Unrecordable:
    """A completer whose completions no record can hold: a leaf has no floats."""

    def __init__(self) -> None:
        self.asked = 0

    async def complete(self, prompt: Prompt, output: OutputSchema) -> Completion:  # noqa: ARG002
        self.asked += 1
        return UNRECORDABLE


UNRECORDABLE = Completion(outcome=Outcome.UNREACHABLE, detail="dead", request={"temperature": 0.5})


async def decided(redis: Redis, symbol: str, tick_id: str) -> Draft:
    """The record of one whole decision about a symbol that is held, not appended yet."""
    drafts: list[Draft] = []

    async def keep(made: Draft, _: tuple[str, ...]) -> Entry:
        drafts.append(made)
        return Entry(made.leaf, made.pieces, index=0)

    pipeline = Pipeline(redis, DecisionConfig(POSITION, ByRules()), keep, worker="test")
    await pipeline.decide(Tick(id=tick_id, symbol=symbol))
    return drafts[0]


class Running:
    """A service at work, and what llmctx logged meanwhile."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.troubles: list[str] = []
        self.stop = asyncio.Event()

    def settled(self) -> list[str]:
        """Every tick id that a record settles, in order, again where it stands again."""
        return [
            tick
            for entry in self.entries
            if "tick" in entry.record
            for tick in (entry.record["tick"], *entry.record.get("conflated", []))
        ]

    async def decide(self, redis: Redis, tick: str, symbol: str, partition: int = 0) -> None:
        """Raise a tick, and wait until it is settled."""
        await raise_tick(redis, tick, symbol, partition)
        await self.until_settled(tick)

    async def until_settled(self, *ticks: str) -> None:
        await until(lambda: set(ticks) <= set(self.settled()))

    async def until_trouble(self, text: str) -> None:
        await until(lambda: any(text in trouble for trouble in self.troubles))


@asynccontextmanager
async def serving(
    redis: Redis,
    url: str,
    state_dir: Path,
    completer: Completer,
    *,
    concurrency: int = 32,
    policy: GuardPolicy | None = None,
    people: Mapping[str, tuple[str, ...]] = MappingProxyType({}),
    budget: BudgetTerms | None = None,
    trigger: TriggerPolicy | None = None,
) -> AsyncIterator[Running]:
    """A service of partition 0; at the end it is stopped and has drained."""
    running = Running()
    handler = Messages(running.troubles)
    logging.getLogger("llmctx").addHandler(handler)
    config = DecisionConfig(
        POSITION,
        completer,
        policy=policy or GuardPolicy(),
        budget=budget,
        trigger=trigger,
    )
    instance, _ = await bind_instance(redis, state_dir)
    task = asyncio.create_task(
        serve_partition(
            TrailHome(redis, url, instance, state_dir, people=people),
            0,
            config,
            running.stop,
            concurrency=concurrency,
            on_entry=running.entries.append,
        )
    )
    try:
        yield running
    finally:
        running.stop.set()
        await asyncio.wait_for(task, 120)
        logging.getLogger("llmctx").removeHandler(handler)


async def person(redis: Redis, name: str) -> str:
    """The id by which records name a person."""
    rows = await cast("Awaitable[dict[bytes, bytes]]", redis.hgetall(PEOPLE_KEY))
    (found,) = [key for key, row in rows.items() if row and json.loads(row)["name"] == name]
    return found.decode()


async def leaves(redis: Redis) -> list[dict[str, object]]:
    """Every record of partition 0, in order."""
    return [entry.record async for entry in Log(redis).read()]


@pytest.fixture
async def program(valkey: Redis, valkey_url: str, standin: Standin, tmp_path: Path) -> Program:
    """The program on an empty Valkey, with the stand-in as its endpoint."""
    assert await valkey.dbsize() == 0
    return Program(valkey_url, tmp_path, standin.base_url)


@pytest.fixture
async def dumb(valkey: Redis, valkey_url: str, tmp_path: Path) -> Program:
    """The program on an empty Valkey, with no endpoint."""
    assert await valkey.dbsize() == 0
    return Program(valkey_url, tmp_path)


@pytest.fixture
async def on_each(redis: Redis, redis_url: str, standin: Standin, tmp_path: Path) -> Program:
    """The program on each server in turn."""
    assert await redis.dbsize() == 0
    return Program(redis_url, tmp_path, standin.base_url)


class Prepared:
    """What a server and a folder hold, made once for the tests of a module and put there again for each of them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: dict[str, tuple[list[tuple[bytes, int, bytes]], Any]] = {}

    async def once(self, name: str, redis: Redis, folder: Path, make: Callable[[], Awaitable[T]]) -> T:
        """Fill an empty server and a folder: by `make` for the first test, for later ones from what was kept then."""
        copy = self._folder / canonical.sha256(name.encode())
        if name in self._made:
            keys, result = self._made[name]
            shutil.copytree(copy, folder, dirs_exist_ok=True)
            for key, lifetime_ms, value in keys:
                await redis.restore(key, lifetime_ms, value)
            return cast("T", result)
        result = await make()
        shutil.copytree(folder, copy)
        names = [key async for key in redis.scan_iter()]
        self._made[name] = [(key, max(0, await redis.pttl(key)), await redis.dump(key) or b"") for key in names], result
        return result


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """What the tests of this module make once."""
    return Prepared(tmp_path_factory.mktemp("prepared"))


Prepare = Callable[..., Awaitable[Program]]


@pytest.fixture
def prepare(prepared: Prepared, tmp_path: Path, short_pauses: None) -> Prepare:  # noqa: ARG001
    """Gives a program on a server, filled by the first test of the module that asks for it."""

    async def once(
        redis: Redis, url: str, make: Callable[[Redis, str, Program], Awaitable[object]], endpoint: str | None = None
    ) -> Program:
        made = Program(url, tmp_path, endpoint)
        await prepared.once(url, redis, tmp_path, partial(make, redis, url, made))
        return made

    return once


@pytest.fixture
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that waits for milliseconds where it would wait for half a second."""
    monkeypatch.setattr(settler, "_BLOCK_MS", 20)
    monkeypatch.setattr(settler, "_PAUSE_S", 0.01)
    monkeypatch.setattr(partition, "_RETRY_S", 0.05)
