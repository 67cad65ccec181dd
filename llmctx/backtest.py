"""A backtest: one prompt trades a whole recorded session in lockstep, on an embedded server with a paper book.

Decisions change what comes after them, so no replay of single decisions can tell what a prompt would have earned.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from llmctx import clock
from llmctx.connection import open_redis
from llmctx.errors import EndpointError
from llmctx.flow.compose import FedBar
from llmctx.flow.feed import Feed
from llmctx.flow.feed_report import FeedReport
from llmctx.flow.lockstep import Lockstep
from llmctx.flow.rules import FeedRules
from llmctx.flow.store import Store
from llmctx.flow.timeline import Item
from llmctx.leaf_fields import calls_of
from llmctx.llm.failures import MAX_CONSECUTIVE_FAILURES, FailureCount, failure_of
from llmctx.llm.price import Price, price_of
from llmctx.llm.usage import Usage
from llmctx.ops.server import EmbeddedServer
from llmctx.pipeline import DecisionConfig
from llmctx.replay.limit_changes import LIMITS
from llmctx.replay.results import UNANSWERED
from llmctx.replay.stats import EquityCurve
from llmctx.trail.log.entry import Entry
from llmctx.worker.home import bind_home
from llmctx.worker.serve import ServeOptions, serve

_ZERO = Decimal(0)


class Session(NamedTuple):
    """The recorded data that is traded."""

    items: Sequence[Item]
    """Bars, headlines and VIX readings in time order."""
    rules: FeedRules = FeedRules()
    """Bar interval, exchange, sectors, trading costs."""


class BacktestResult:
    """What a backtest earned, did and cost; complete once `run_backtest` returns it."""

    def __init__(self, prompt: str, mandate: str, prices: Mapping[str, Price]) -> None:
        self.prompt = prompt
        """The prompt that decided, NAME/vN."""
        self.mandate = mandate
        """The digest of the mandate that it was subject to; empty without one."""
        self.curve = EquityCurve()
        """Equity and exposure over time."""
        self.calls = 0
        self.failed = 0
        self.tokens_in = 0
        self.tokens_out = 0
        self.wins = 0
        self.losses = 0
        self.trading_costs = _ZERO
        self.funding = _ZERO
        """Funding paid; negative if more was received."""
        self.cost: Decimal | None = None
        """What the model cost; None if no price is set for it."""
        self.actions: Counter[str] = Counter()
        self.guards: Counter[str] = Counter()
        self.summary: dict[str, Any] = {}
        """What the feed wrote."""
        self.endpoint_down = asyncio.Event()
        """Set when too many calls in a row got no answer."""
        self.failures = FailureCount()
        """The calls, and those without an answer."""
        self._prices = prices
        self._open: dict[str, tuple[Decimal, Decimal]] = {}
        self._first_equity: Decimal | None = None

    def add_bar(self, fed: FedBar) -> None:
        """Mark the book to a bar."""
        book, held, symbol = fed.step.book, fed.step.position, fed.bar.symbol
        self._open.pop(symbol, None)
        if held is not None:
            self._open[symbol] = held.unrealized_pnl or _ZERO, (held.current_price or _ZERO) * held.quantity
        self.trading_costs += sum((fill.cost for fill in fed.step.fills), _ZERO)
        self.funding += sum((payment.paid for payment in fed.step.funding), _ZERO)
        closed = fed.step.closed
        if closed is not None and closed.net > 0:
            self.wins += 1
        elif closed is not None and closed.net < 0:
            self.losses += 1
        if self._first_equity is None:
            self._first_equity = book.day.equity
        equity = book.day.equity + book.day.earned + self._open_pnl
        self.curve.mark(clock.to_ms(fed.end), equity, sum((worth for _, worth in self._open.values()), _ZERO))

    def add_record(self, entry: Entry) -> None:
        """Count a decision, its call and what the call cost."""
        record = entry.record
        if "tick" not in record:
            return
        self.actions[record["verdict"]["action"]] += 1
        self.guards.update(guard["name"] for guard in record["verdict"].get("guards", []))
        completion = record.get("completion")
        if completion is None:
            return
        self._watch_endpoint(completion)
        self.calls += 1
        if record["kind"] == "failed":
            self.failed += 1
        for model, call in calls_of(record):
            self._count_usage(call, model)

    def _count_usage(self, completion: Mapping[str, Any], requested: str) -> None:
        if "usage" not in completion:
            return
        usage = Usage(**completion["usage"])
        self.tokens_in += usage.prompt
        self.tokens_out += usage.completion
        price = price_of(self._prices, completion.get("model"), requested)
        if price is not None:
            self.cost = (self.cost or _ZERO) + price.of(usage)

    def _watch_endpoint(self, completion: dict[str, Any]) -> None:
        if completion["outcome"] not in UNANSWERED:
            self.failures.succeed()
            return
        self.failures.fail(failure_of(completion))
        if self.failures.in_a_row == MAX_CONSECUTIVE_FAILURES:
            self.endpoint_down.set()

    @property
    def _open_pnl(self) -> Decimal:
        return sum((pnl for pnl, _ in self._open.values()), _ZERO)

    def as_dict(self) -> dict[str, Any]:
        """The result as `llmctx backtest --json` prints it: money in the account's currency, shares in percent."""
        drawdown, drawdown_share = self.curve.drawdown
        mean_exposure, max_exposure = self.curve.exposure
        first = self._first_equity or _ZERO
        pnl = self.curve.points[-1].equity - first if self.curve.points else _ZERO
        return {
            "prompt": self.prompt,
            "mandate": self.mandate,
            "pnl": pnl,
            "pnl_pct": pnl / first * 100 if first else _ZERO,
            "realized": pnl - self._open_pnl,
            "open": self._open_pnl,
            "max_drawdown": drawdown,
            "max_drawdown_pct": drawdown_share * 100,
            "mean_exposure_pct": mean_exposure * 100,
            "max_exposure_pct": max_exposure * 100,
            "opened": self.summary["opened"],
            "closed": self.summary["closed"],
            "wins": self.wins,
            "losses": self.losses,
            "fills": self.summary["fills"],
            "trading_costs": self.trading_costs,
            "funding": self.funding,
            "ticks": self.summary["ticks"],
            "calls": self.calls,
            "failed": self.failed,
            "tokens_in": self.tokens_in,
            "tokens_out": self.tokens_out,
            "cost": self.cost,
            "actions": dict(self.actions.most_common()),
            "guards": dict(self.guards.most_common()),
            "limits": {name: self.guards[name] for name in LIMITS if self.guards[name]},
        }


async def run_backtest(
    config: DecisionConfig,
    session: Session,
    directory: Path,
    *,
    prices: Mapping[str, Price] | None = None,
    concurrency: int = 32,
    on_bar: Callable[[], None] = lambda: None,
) -> BacktestResult:
    """Let `config` trade a session; the server's data and the trail stay in `directory`.

    `prices` are the models' costs per million tokens; `on_bar` is called after each bar. Raises EndpointError if the
    endpoint stops answering, ServerError if the server cannot start.
    """
    mandate = config.policy.mandate
    names = ", ".join(template.ref for template in config.prompts.templates)
    result = BacktestResult(names, "" if mandate is None else mandate.sha256, prices or {})
    # Recorded data uses the clock of its bars, whatever is set for live trails.
    config = config._replace(rules=config.rules.model_copy(update={"clock": "bars"}))

    def add_bar(fed: FedBar) -> None:
        result.add_bar(fed)
        on_bar()

    with EmbeddedServer(directory / "redis") as server:
        async with open_redis(server.url) as redis:
            home = await bind_home(redis, server.url, directory)
            stop, options = asyncio.Event(), ServeOptions(concurrency=concurrency)
            serving = asyncio.create_task(serve(home, config, stop, options, on_entry=result.add_record))
            feed = Feed(Store(redis, 1), session.rules, lockstep=Lockstep(redis, 1), on_bar=add_bar)
            feeding = asyncio.create_task(feed.run(session.items))
            try:
                result.summary = (await _until_fed(feeding, serving, result)).as_dict()
            finally:
                feeding.cancel()
                stop.set()
                await asyncio.gather(feeding, serving, return_exceptions=True)
    return result


async def _until_fed(
    feeding: "asyncio.Task[FeedReport]", serving: asyncio.Task[None], result: BacktestResult
) -> FeedReport:
    """Wait until all items are fed; raise whatever stops the session before that."""
    down = asyncio.create_task(result.endpoint_down.wait())
    try:
        await asyncio.wait({feeding, serving, down}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        down.cancel()
    if result.endpoint_down.is_set():
        raise EndpointError(
            f"{MAX_CONSECUTIVE_FAILURES} calls in a row got no answer, the last one: {result.failures.last}.",
            result.failures.remedy,
        )
    if not feeding.done():
        await serving
    return await feeding
