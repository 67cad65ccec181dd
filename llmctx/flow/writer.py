"""The writer: recorded or live data into the schema from Python code, with types.

    async with open_writer("redis://127.0.0.1:6379/0") as writer:
        await writer.bar("AAPL", start, open=646.25, high=646.96, low=645.75, close=646.26, volume=220173)
        await writer.headline("AAPL", at, "Company XYZ reports strong earnings", source="wire", url="https://...")

It does what `llmctx feed` does with a file: every live key of the symbol and the shared ones, positions of the paper
broker, one tick for each position change.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from decimal import Decimal

from redis.asyncio import Redis

from llmctx.connection import open_redis
from llmctx.errors import FeedError
from llmctx.flow.bars import BadRow, Bar, parse_row
from llmctx.flow.feed import Feed
from llmctx.flow.lockstep import Lockstep
from llmctx.flow.news import Headline, headline_of
from llmctx.flow.pipe import parse_vix
from llmctx.flow.rules import FeedRules
from llmctx.flow.store import Store
from llmctx.flow.summary import Summary
from llmctx.flow.timeline import Vix
from llmctx.trail.log.instance import read_instance

Number = Decimal | float
"""A price or a volume. A float is taken at its shortest text: 646.25 is exactly 646.25."""


class Writer:
    """Writes bars and headlines in the order in which they become known."""

    def __init__(self, redis: Redis, partitions: int, rules: FeedRules, *, lockstep: bool = False) -> None:
        """`partitions` of the trail; with `lockstep` a bar returns when the decision on it is out."""
        settled = Lockstep(redis, partitions) if lockstep else None
        self._feed = Feed(Store(redis, partitions), rules, settled=settled)

    async def bar(
        self,
        symbol: str,
        start: datetime,
        *,
        open: Number,  # noqa: A002  the schema's name
        high: Number,
        low: Number,
        close: Number,
        volume: Number,
    ) -> None:
        """Write a bar that is over: prices per share, volume in shares; `start` is its first moment, with a zone.

        A bar that is there already changes nothing.

        Raises FeedError for a bar that is none, ServerError when the server does not answer.
        """
        numbers = [str(number) for number in (open, high, low, close, volume)]
        await self._write(parse_row([start.isoformat(), symbol, *numbers], 1))

    async def headline(
        self,
        symbol: str,
        at: datetime,
        headline: str,
        *,
        source: str = "",
        url: str = "",
        score: Number | None = None,
    ) -> None:
        """Write a headline that was published at `at`; `score` from -1 to 1 is the provider's, else VADER's counts.

        Raises FeedError for a headline that is none, ServerError when the server does not answer.
        """
        line = {"timestamp": at.isoformat(), "symbol": symbol, "headline": headline, "source": source, "url": url}
        scored = line if score is None else line | {"sentiment_score": Decimal(str(score))}
        await self._write(headline_of(scored, 1))

    async def vix(self, at: datetime, value: Number) -> None:
        """Take a reading of the volatility index, in index points; it stands in context:market from the next bar on.

        Raises FeedError for a value that is none.
        """
        await self._write(parse_vix({"timestamp": at.isoformat(), "vix": Decimal(str(value))}, 1))

    async def _write(self, item: Bar | Headline | Vix | BadRow) -> None:
        if isinstance(item, BadRow):
            raise FeedError(f"It cannot be written: {item.why}.", "Correct the value, and call again.")
        await self._feed.take([item])

    async def finish(self) -> Summary:
        """See that the server still has what it was told last; what was written."""
        return await self._feed.finish()

    @property
    def summary(self) -> Summary:
        """What was written so far."""
        return self._feed.summary


@asynccontextmanager
async def open_writer(
    redis_url: str = "redis://127.0.0.1:6379/0",
    *,
    interval: timedelta = timedelta(minutes=1),
    sectors: Mapping[str, str] | None = None,
    exchange: str = "XNYS",
    live: bool = False,
    lockstep: bool = False,
) -> AsyncIterator[Writer]:
    """A writer to a server.

    `live` means data of now, judged by the server's clock; otherwise the bars set the clock. `exchange` is whose hours
    market_status follows (`llmctx.flow.exchange.NAMES`).

    Raises ServerError where no usable server answers, FeedError for an unknown exchange.
    """
    rules = FeedRules(interval=interval, sectors=sectors or {}, exchange=exchange, live=live)
    async with open_redis(redis_url) as redis:
        instance = await read_instance(redis)
        writer = Writer(redis, 1 if instance is None else instance.partitions, rules, lockstep=lockstep)
        yield writer
        await writer.finish()
