"""The writer: recorded or live data written into the Redis schema from Python code.

    async with open_writer("redis://127.0.0.1:6379/0") as writer:
        await writer.bar("AAPL", start, open=646.25, high=646.96, low=645.75, close=646.26, volume=220173)
        await writer.headline("AAPL", at, "Company XYZ reports strong earnings", source="wire", url="https://...")

It does what `llmctx feed` does with a file: it writes the live keys of each symbol and the shared ones, runs the paper
broker, and raises one tick for each position change.
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
from llmctx.flow.feed_report import FeedReport
from llmctx.flow.lockstep import Lockstep
from llmctx.flow.news import Headline, headline_of
from llmctx.flow.pipe import parse_vix
from llmctx.flow.rules import FeedRules
from llmctx.flow.store import Store
from llmctx.flow.timeline import Vix
from llmctx.trail.log.instance import read_instance

Number = Decimal | float
"""A price or a volume. A float stands for its shortest decimal form: 646.25 is exactly 646.25."""


class Writer:
    """Writes bars and headlines in the order in which they become known."""

    def __init__(self, redis: Redis, partitions: int, rules: FeedRules, *, lockstep: bool = False) -> None:
        """`partitions` of the trail; with `lockstep`, `bar` returns when its decision is published."""
        self._feed = Feed(Store(redis, partitions), rules, lockstep=Lockstep(redis, partitions) if lockstep else None)

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
        """Write a completed bar: prices per share, volume in shares; `start` is its first moment, with a zone.

        Writing a bar again changes nothing.

        Raises FeedError if the bar is malformed, ServerError if the server does not answer.
        """
        numbers = [str(number) for number in (open, high, low, close, volume)]
        await self._write(parse_row([start.isoformat(), symbol, *numbers], 1))

    async def headline(
        self, symbol: str, at: datetime, headline: str, *, source: str = "", url: str = "", score: Number | None = None
    ) -> None:
        """Write a headline published at `at`, with the provider's sentiment score from -1 to 1, or else VADER's.

        Raises FeedError if the headline is malformed, ServerError if the server does not answer.
        """
        line = {"timestamp": at.isoformat(), "symbol": symbol, "headline": headline, "source": source, "url": url}
        scored = line if score is None else line | {"sentiment_score": Decimal(str(score))}
        await self._write(headline_of(scored, 1))

    async def vix(self, at: datetime, value: Number) -> None:
        """Set the volatility index, in index points; context:market shows it from the next bar on.

        Raises FeedError if the value is malformed.
        """
        await self._write(parse_vix({"timestamp": at.isoformat(), "vix": Decimal(str(value))}, 1))

    async def _write(self, item: Bar | Headline | Vix | BadRow) -> None:
        if isinstance(item, BadRow):
            raise FeedError(f"It cannot be written: {item.why}.", "Correct the value and call again.")
        await self._feed.take([item])

    async def finish(self) -> FeedReport:
        """Make sure that the server still has the last writes, and return what was written."""
        return await self._feed.finish()

    @property
    def report(self) -> FeedReport:
        """What was written so far."""
        return self._feed.report


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
    """Open a writer to a server.

    With `live`, data is judged by the server's clock; otherwise the bars set the clock. market_status follows the hours
    of `exchange` (one of `llmctx.flow.exchange.NAMES`).

    Raises ServerError if no usable server answers, FeedError if the exchange is unknown.
    """
    rules = FeedRules(interval=interval, sectors=sectors or {}, exchange=exchange, live=live)
    async with open_redis(redis_url) as redis:
        instance = await read_instance(redis)
        writer = Writer(redis, 1 if instance is None else instance.partitions, rules, lockstep=lockstep)
        yield writer
        await writer.finish()
