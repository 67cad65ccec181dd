"""One whole lockstep session on an embedded server of its own: bars in, decisions, a paper book out."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmctx import clock
from llmctx.cli.setup import asking_of
from llmctx.errors import EndpointError
from llmctx.llm.completion import Usage
from llmctx.llm.price import price_of
from llmctx.replay.curve import Curve
from llmctx.replay.results import NO_ANSWER
from llmctx.replay.run import PATIENCE
from llmctx.replay.trouble import remedy
from llmctx.settings import Settings
from llmctx.trail.log.entry import Entry

if TYPE_CHECKING:
    from llmctx.flow.compose import FedBar
    from llmctx.flow.feed_report import FeedReport
    from llmctx.flow.rules import FeedRules
    from llmctx.flow.timeline import Item


class Books:
    """What one session came to."""

    def __init__(self, settings: Settings) -> None:
        self._prices = settings.prices
        self.prompt = settings.prompt
        """The prompt that decided."""
        self.curve = Curve()
        """The book over time."""
        self.calls = self.failed = self.tokens_in = self.tokens_out = 0
        self.cost: Decimal | None = None
        self.actions: Counter[str] = Counter()
        self.guards: Counter[str] = Counter()
        self.costs = Decimal(0)
        self._open: dict[str, tuple[Decimal, Decimal]] = {}
        self._taken: FedBar | None = None
        self._first_equity: Decimal | None = None
        self.summary: dict[str, Any] = {}
        self.away = asyncio.Event()
        """Set when the endpoint is taken to be away: so many calls in a row got no answer."""
        self.trouble = ""
        """What the last one of those came to."""
        self._failures = 0
        self.wins = self.losses = 0

    def bar(self, taken: "FedBar") -> None:
        """See a bar: mark the book."""
        book, held, name = taken.step.book, taken.step.position, taken.bar.symbol
        self._open.pop(name, None)
        if held is not None:
            self._open[name] = held.unrealized_pnl, held.current_price * held.quantity
        self.costs += sum((fill.cost for fill in taken.step.fills), Decimal(0))
        if taken.step.closed is not None:
            self.wins += taken.step.closed.net > 0
            self.losses += taken.step.closed.net < 0
        self._taken = taken
        earned = book.day.equity + book.day.earned
        self._first_equity = book.day.equity if self._first_equity is None else self._first_equity
        equity = earned + sum((gain for gain, _ in self._open.values()), Decimal(0))
        self.curve.mark(clock.to_ms(taken.end), equity, sum((worth for _, worth in self._open.values()), Decimal(0)))

    def entry(self, entry: Entry) -> None:
        """See a record."""
        record = entry.record
        if "tick" not in record:
            return
        self.actions[record["verdict"]["action"]] += 1
        self.guards.update(guard["name"] for guard in record["verdict"].get("guards", []))
        completion = record.get("completion")
        if completion is None:
            return
        self._see_outcome(completion)
        self.calls += 1
        self.failed += record["kind"] == "failed"
        if "usage" not in completion:
            return
        usage = Usage(**completion["usage"])
        self.tokens_in += usage.prompt
        self.tokens_out += usage.completion
        price = price_of(self._prices, completion.get("model"), record["request"].get("model"))
        if price is not None:
            self.cost = (self.cost or Decimal(0)) + price.of(usage)

    def _see_outcome(self, completion: dict[str, Any]) -> None:
        if completion["outcome"] not in NO_ANSWER:
            self._failures = 0
            return
        self._failures += 1
        self.trouble = str(completion.get("detail") or completion["outcome"])
        if self._failures == PATIENCE:
            self.away.set()

    def as_dict(self) -> dict[str, Any]:
        """The books as JSON has them."""
        deepest, deepest_share = self.curve.drawdown
        mean_exposure, most_exposure = self.curve.exposure
        last, first = self.curve.points[-1:], self._first_equity or Decimal(0)
        open_pnl = sum((gain for gain, _ in self._open.values()), Decimal(0))
        pnl = last[0].equity - first if last else Decimal(0)
        return {
            "prompt": self.prompt,
            "pnl": pnl,
            "pnl_pct": pnl / first * 100 if first else Decimal(0),
            "realized": pnl - open_pnl,
            "open": open_pnl,
            "max_drawdown": deepest,
            "max_drawdown_pct": deepest_share * 100,
            "mean_exposure_pct": mean_exposure * 100,
            "max_exposure_pct": most_exposure * 100,
            "opened": self.summary["opened"],
            "closed": self.summary["closed"],
            "wins": self.wins,
            "losses": self.losses,
            "fills": self.summary["fills"],
            "trading_costs": self.costs,
            "ticks": self.summary["ticks"],
            "calls": self.calls,
            "failed": self.failed,
            "tokens_in": self.tokens_in,
            "tokens_out": self.tokens_out,
            "cost": self.cost,
            "actions": dict(self.actions.most_common()),
            "guards": dict(self.guards.most_common()),
        }


async def run_session(
    settings: Settings,
    items: Iterable["Item"],
    rules: "FeedRules",
    directory: Path,
    on_bar: Callable[[], None] = lambda: None,
) -> Books:
    """A session decided by the prompt of the settings; server and trail lie in `directory`.

    Raises EndpointError without an endpoint and where it stays away, ServerError where the server cannot start.
    """
    from llmctx.cli.service import Parts, serve_all
    from llmctx.connection import open_redis
    from llmctx.flow.feed import Feed
    from llmctx.flow.lockstep import Lockstep
    from llmctx.flow.store import Store
    from llmctx.ops.server import EmbeddedServer
    from llmctx.trail.log.instance import bind_instance

    books, own = Books(settings), settings.model_copy(update={"state_dir": directory})

    def seen(taken: "FedBar") -> None:
        books.bar(taken)
        on_bar()

    with EmbeddedServer(directory / "redis") as server:
        async with asking_of(settings, need_endpoint=True) as asking, open_redis(server.url) as redis:
            instance, _ = await bind_instance(redis, directory)
            stop = asyncio.Event()
            service = asyncio.create_task(
                serve_all(redis, server.url, instance, own, asking, Parts(), stop, on_entry=books.entry)
            )
            lockstep = Lockstep(redis, 1)
            feeding = asyncio.create_task(Feed(Store(redis, 1), rules, lockstep=lockstep, on_bar=seen).run(items))
            try:
                books.summary = (await _fed(feeding, service, books)).as_dict()
            finally:
                feeding.cancel()
                stop.set()
                await asyncio.gather(feeding, service, return_exceptions=True)
    return books


async def _fed(feeding: "asyncio.Task[FeedReport]", service: asyncio.Task[None], books: Books) -> "FeedReport":
    """What was fed, when all of it is; what ends it before is raised."""
    away = asyncio.create_task(books.away.wait())
    try:
        await asyncio.wait({feeding, service, away}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        away.cancel()
    if books.away.is_set():
        raise EndpointError(
            f"{PATIENCE} calls in a row got no answer, the last one: {books.trouble}.", remedy(books.trouble)
        )
    if not feeding.done():
        await service
    return await feeding
