"""The feed: bars and headlines in; live keys, positions and ticks out. One write per bar and symbol.

A bar is known at its end, which is the time of everything it changes; a headline is known at its own time.

The feed waits for a server that is away. If the server comes back without its last seconds, the feed sends them again:
the same bars raise the same ticks, so nothing is lost or doubled.
"""

import asyncio
import uuid
from collections.abc import AsyncIterable, Awaitable, Callable, Coroutine, Iterable
from datetime import datetime
from functools import partial
from typing import Any

from llmctx import clock
from llmctx.context.tick import Tick
from llmctx.errors import ServerError, TrailError
from llmctx.flow.bars import BadRow, Bar
from llmctx.flow.compose import FedBar
from llmctx.flow.feed_report import FeedReport, FeedReporter, RecentWrites
from llmctx.flow.funding import FundingRate
from llmctx.flow.live_keys import LiveKeys, LostWritesError
from llmctx.flow.news import WINDOW, Headline
from llmctx.flow.rules import FeedRules
from llmctx.flow.store import Store
from llmctx.flow.timeline import Item, Moment, Vix, moments
from llmctx.tasks import pause

MAX_AWAY_S = 60.0
"""How long the feed waits for a server that does not answer."""
_RETRY_PAUSE_S = 0.2
_CHECK_BAR_EVERY_S = 2.0
_MAX_PACED_GAP_S = 3600


class Feed:
    """Feeds bars and headlines in the order in which they come."""

    def __init__(
        self,
        store: Store,
        rules: FeedRules | None = None,
        *,
        speed: float | None = None,
        lockstep: Callable[[Tick], Coroutine[Any, Any, None]] | None = None,
        on_bar: Callable[[FedBar], None] = lambda _: None,
    ) -> None:
        """`speed` is a multiple of real time, None means as fast as possible; `lockstep` is awaited for each tick
        before the next bar is fed; `on_bar` is called for each written bar.

        Raises FeedError if the exchange is unknown.
        """
        self._store = store
        self._rules = rules or FeedRules()
        self._speed = speed
        self._lockstep = lockstep
        self._on_bar = on_bar
        self._reporter = FeedReporter(uuid.uuid4().hex[:12])
        self._live_keys = LiveKeys(store, self._rules, self.report.run)
        self._recent = RecentWrites()
        self._in_doubt: dict[Bar, FedBar] = {}  # sent, but not known to be written and settled
        self._started = False
        self._time: datetime | None = None
        self._bar_start: datetime | None = None
        self._start_time: datetime | None = None

    @property
    def report(self) -> FeedReport:
        """What has been done so far."""
        return self._reporter.report

    async def run(self, items: Iterable[Item]) -> FeedReport:
        """Feed all items and finish; malformed ones are logged and skipped.

        Raises ServerError if the server does not answer for a minute.
        """
        await self.take(items)
        return await self.finish()

    async def take(self, items: Iterable[Item]) -> None:
        """Feed all items, without finishing."""
        for moment in moments(items):
            await self._feed_moment(moment)

    async def follow(self, source: AsyncIterable[Moment]) -> FeedReport:
        """Feed a source until it ends, as `run` does."""
        async for moment in source:
            await self._feed_moment(moment)
        return await self.finish()

    async def finish(self) -> FeedReport:
        """Make sure that the server still has the last writes."""
        await self._start()
        await self._with_retries(self._check_recent_bars)
        self.report.symbols = self._live_keys.names
        return self.report

    async def _check_recent_bars(self) -> None:
        for bar in self._recent.newest_bars():
            if not await self._live_keys.has(bar):
                raise LostWritesError

    async def _feed_moment(self, moment: Moment) -> None:
        await self._start()
        for items in [moment] if self._lockstep is None else [[item] for item in moment]:
            await self._with_retries(partial(self._feed_items, items))

    async def _with_retries(self, act: Callable[[], Awaitable[None]]) -> None:
        """Run an action; wait while the server is away, and send again what it has lost."""
        away_since_s: float | None = None
        resend = False
        while True:
            try:
                if resend:
                    await self._resend_recent()
                    away_since_s = None
                return await act()
            except LostWritesError:
                self._reporter.writes_lost()
            except (ServerError, TrailError) as error:
                away_since_s = away_since_s or clock.monotonic_s()
                if clock.monotonic_s() - away_since_s > MAX_AWAY_S:
                    raise
                self._reporter.server_away(error)
                await pause(_RETRY_PAUSE_S)
            resend = True

    async def _resend_recent(self) -> None:
        """Feed all recent items again, starting from what the server holds now."""
        await self._live_keys.resume()
        self._bar_start = None
        for moment in moments(self._recent.items()):
            await self._feed_items(moment)

    async def _feed_items(self, moment: Moment) -> None:
        bars = []
        for item in moment:
            match item:
                case Bar():
                    bars.append(item)
                case BadRow():
                    self._reporter.skip_row(f"line {item.line}: {item.why}; skipped")
                case Headline():
                    await self._feed_headline(item)
                case FundingRate():
                    self._live_keys.funding_rates.add(item)
                case Vix():
                    self._live_keys.composer.market.vix = item.value
        if bars:
            await self._feed_bars(bars)

    async def _start(self) -> None:
        """Read what an earlier feed and others left in the server, and adjust positions by the given ratios."""
        if self._started:
            return
        self._started = True
        at_ms, live_clock = await self._store.clock()
        self._start_time = None if at_ms is None else clock.from_ms(at_ms)
        if live_clock and not self._rules.live:
            self._reporter.live_clock()
        await self._live_keys.resume()
        for name in self._rules.ratios:
            if not (await self._live_keys.symbol(name)).raw_position:
                message = f"--adjust {name}: there is no position in {name} to adjust"
                self._reporter.warn_once(message, about=message)
            tick = await self._live_keys.adjust_position(name)
            if tick is not None:
                self._reporter.adjusted(name)
                if self._lockstep is not None:
                    await self._lockstep(tick)

    async def _pace(self, known: datetime) -> datetime:
        """Wait until an item is known, at the feed's speed, and return the time of the clock then."""
        if self._speed is not None and self._time is not None and known > self._time:
            gap_s = (known - self._time).total_seconds()
            # nobody wants to watch a whole night pass
            pause_s = gap_s if gap_s <= _MAX_PACED_GAP_S else self._rules.interval.total_seconds()
            await asyncio.sleep(pause_s / self._speed)
        self._time = known if self._time is None else max(known, self._time)
        return self._time

    async def _feed_headline(self, headline: Headline) -> None:
        symbol = await self._live_keys.symbol(headline.symbol)
        now = self._time or self._start_time
        if (now is not None and headline.at <= now - WINDOW) or not symbol.news.add(headline):
            self._reporter.already_fed(headline, self._recent)
            return
        at = await self._pace(headline.at if now is None else max(now, headline.at))
        await self._live_keys.write_headline(headline, at)
        if self._recent.add(headline):
            self.report.headlines += 1

    async def _feed_bars(self, bars: list[Bar]) -> None:
        """Feed bars of different symbols with the same start in one round trip."""
        new = []
        for bar in bars:
            last = (await self._live_keys.symbol(bar.symbol)).track.last
            known = None if bar in self._in_doubt else await self._live_keys.known(bar)
            if last is not None and known is not None and known != bar:
                at = await self._pace(last.end(self._rules.interval))
                await self._correct_bar(known, bar, at)
            elif self._bar_start is not None and bar.start < self._bar_start:
                self._reporter.out_of_order(bar)
            elif last is not None and bar.start <= last.start:
                await self._skip_known(bar)
            else:
                new.append(bar)
        if new:
            at = await self._pace(new[0].end(self._rules.interval))
            self._bar_start = new[0].start
            exchange, interval = self._live_keys.exchange, self._rules.interval
            day = exchange.date_of_bar(self._bar_start, interval)
            if exchange.session(day) is None:
                self._reporter.exchange_closed(exchange.name, day)
            self.report.already_fed += await self._live_keys.write_bars(new, at, self._on_send, self._on_written)
            self._in_doubt.clear()

    async def _correct_bar(self, known: Bar, bar: Bar, at: datetime) -> None:
        """Replace a stored bar by one that arrived again with other values."""
        fed = await self._live_keys.correct_bar(bar, at)
        if fed is None:
            self._reporter.already_fed(bar, self._recent)
            return
        self._recent.replace(known, bar)
        self._reporter.corrected(bar, fed)
        await self._wait_for_decision(fed)

    async def _skip_known(self, bar: Bar) -> None:
        """Skip a bar the server has already: an earlier feed wrote it, or this one did and the reply was lost."""
        fed = self._in_doubt.pop(bar, None)
        if fed is not None and await self._live_keys.has(bar):
            await self._on_written(fed)
        else:
            self._reporter.already_fed(bar, self._recent)

    def _on_send(self, fed: FedBar) -> None:
        self._in_doubt[fed.bar] = fed

    async def _on_written(self, fed: FedBar) -> None:
        self._in_doubt[fed.bar] = fed  # as written, which may differ from the first attempt
        if self._recent.add(fed.bar):
            self._reporter.written(fed)
            self._on_bar(fed)
        await self._wait_for_decision(fed)
        del self._in_doubt[fed.bar]

    async def _wait_for_decision(self, fed: FedBar) -> None:
        """In lockstep, wait until a bar's tick is settled; a server that has lost the bar will never settle it."""
        if fed.tick is None or self._lockstep is None:
            return
        waiting = asyncio.create_task(self._lockstep(fed.tick))
        try:
            while not (await asyncio.wait([waiting], timeout=_CHECK_BAR_EVERY_S))[0]:
                if not await self._live_keys.has(fed.bar):
                    raise LostWritesError
            await waiting
        finally:
            waiting.cancel()
        await self._live_keys.read_decisions(fed.bar.symbol)
