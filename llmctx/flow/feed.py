"""The feed: bars and headlines in; every live key, positions and ticks out. One write a bar and symbol.

A bar is known at its end, and that is the time of everything it changes; a headline is known at its own time.

A server that goes away is waited for. One that comes back without its last seconds is told them again: the same bars
raise the same ticks, so nothing is lost and nothing is doubled.
"""

import asyncio
import uuid
from collections.abc import AsyncIterable, Awaitable, Callable, Coroutine, Iterable
from datetime import datetime
from typing import Any

from llmctx import clock
from llmctx.connection import pause
from llmctx.context.tick import Tick
from llmctx.errors import RecordError, ServerError, TrailError
from llmctx.flow.bars import BadRow, Bar
from llmctx.flow.compose import Taken
from llmctx.flow.keeper import ForgottenError, Keeper
from llmctx.flow.news import WINDOW, Headline
from llmctx.flow.recent import Recent
from llmctx.flow.report import Report
from llmctx.flow.rules import FeedRules
from llmctx.flow.store import Store
from llmctx.flow.summary import Summary
from llmctx.flow.timeline import Item, Moment, Vix, moments

_LONGEST_PAUSE_S = 3600
_PATIENCE_S = 60.0
_PAUSE_S = 0.2
_LOOK_AFTER_S = 2.0


class Feed:
    """Feeds bars and headlines in the order in which they come."""

    def __init__(
        self,
        store: Store,
        rules: FeedRules | None = None,
        *,
        speed: float | None = None,
        settled: Callable[[Tick], Coroutine[Any, Any, None]] | None = None,
        on_bar: Callable[[Taken], None] = lambda _: None,
    ) -> None:
        """`speed` is a multiple of real time, None as fast as it goes; with `settled` the next bar waits until it
        returns for each tick (lockstep).

        Raises FeedError for an unknown exchange.
        """
        self._store = store
        self._rules = rules or FeedRules()
        self._speed = speed
        self._settled = settled
        self._on_bar = on_bar
        self._report = Report(uuid.uuid4().hex[:12])
        self._keeper = Keeper(store, self._rules, self.summary.run)
        self._recent = Recent()
        self._in_doubt: dict[Bar, Taken] = {}  # sent, and not known to be written and settled
        self._started = False
        self._time: datetime | None = None
        self._bar_start: datetime | None = None
        self._floor: datetime | None = None

    @property
    def summary(self) -> Summary:
        """What was done so far."""
        return self._report.summary

    async def run(self, items: Iterable[Item]) -> Summary:
        """Feed all of them, to the end; what is none is told and left out.

        Raises ServerError when the server does not answer for a minute.
        """
        await self.take(items)
        return await self.finish()

    async def take(self, items: Iterable[Item]) -> None:
        """Feed all of them; more will come."""
        for moment in moments(items):
            await self._moment(moment)

    async def follow(self, source: AsyncIterable[Moment]) -> Summary:
        """Feed what a source brings until it ends; the same rules hold."""
        async for moment in source:
            await self._moment(moment)
        return await self.finish()

    async def finish(self) -> Summary:
        """See that the server still has what it was told last."""
        await self._start()
        await self._safely(self._see_that_all_is_there)
        self.summary.symbols = self._keeper.names
        return self.summary

    async def _see_that_all_is_there(self) -> None:
        for bar in self._recent.newest_bars():
            if not await self._keeper.holds(bar):
                raise ForgottenError

    async def _moment(self, moment: Moment) -> None:
        await self._start()
        for items in [moment] if self._settled is None else [[item] for item in moment]:
            await self._safely(lambda items=items: self._items(items))  # type: ignore[misc]  # bound now

    async def _safely(self, act: Callable[[], Awaitable[None]]) -> None:
        """Do something to the server; wait where it is away, and tell it again what it has forgotten."""
        away_since_s: float | None = None
        again = False
        while True:
            try:
                if again:
                    await self._tell_again()
                    away_since_s = None
                return await act()
            except ForgottenError:
                self._report.forgotten()
            except RecordError:
                raise
            except (ServerError, TrailError) as error:
                away_since_s = away_since_s or clock.monotonic_s()
                if clock.monotonic_s() - away_since_s > _PATIENCE_S:
                    raise
                self._report.away(error)
                await pause(_PAUSE_S)
            again = True

    async def _tell_again(self) -> None:
        """Everything of late once more, on what the server holds now."""
        await self._keeper.recall()
        self._bar_start = None
        for moment in moments(self._recent.items()):
            await self._items(moment)

    async def _items(self, moment: Moment) -> None:
        bars = []
        for item in moment:
            match item:
                case Bar():
                    bars.append(item)
                case BadRow():
                    self._report.leave_out(f"line {item.line}: {item.why}; left out")
                case Headline():
                    await self._feed_headline(item)
                case Vix():
                    self._keeper.composer.market.vix = item.value
        if bars:
            await self._feed_bars(bars)

    async def _start(self) -> None:
        """Find out what an earlier feed left, and what others have."""
        if self._started:
            return
        self._started = True
        at_ms, live_clock = await self._store.clock()
        self._floor = None if at_ms is None else clock.from_ms(at_ms)
        if live_clock and not self._rules.live:
            self._report.live_clock()
        await self._keeper.recall()
        for name in self._rules.ratios:
            if not (await self._keeper.symbol(name)).raw:
                what = f"--adjust {name}: there is no position in {name} to adjust"
                self._report.trouble(what, about=what)
            tick = await self._keeper.adjust_position(name)
            if tick is not None:
                self._report.adjusted(name)
                if self._settled is not None:
                    await self._settled(tick)

    async def _pace(self, known: datetime) -> datetime:
        """Wait for the time at which something is known; the time of the clock then."""
        if self._speed is not None and self._time is not None and known > self._time:
            passed_s = (known - self._time).total_seconds()
            # nobody watches a night go by
            pause_s = passed_s if passed_s <= _LONGEST_PAUSE_S else self._rules.interval.total_seconds()
            await asyncio.sleep(pause_s / self._speed)
        self._time = known if self._time is None else max(known, self._time)
        return self._time

    async def _feed_headline(self, headline: Headline) -> None:
        symbol = await self._keeper.symbol(headline.symbol)
        now = self._time or self._floor
        if (now is not None and headline.at <= now - WINDOW) or not symbol.news.add(headline):
            self._report.already_fed(headline, self._recent)
            return
        at = await self._pace(headline.at if now is None else max(now, headline.at))
        await self._keeper.headline(headline, at)
        if self._recent.add(headline):
            self.summary.headlines += 1

    async def _feed_bars(self, bars: list[Bar]) -> None:
        """Feed bars of one start and different symbols, in one round trip."""
        wanted = []
        for bar in bars:
            last = (await self._keeper.symbol(bar.symbol)).track.last
            if self._bar_start is not None and bar.start < self._bar_start:
                self._report.out_of_order(bar)
            elif last is not None and bar.start <= last.start:
                await self._was_there(bar)
            else:
                wanted.append(bar)
        if wanted:
            at = await self._pace(wanted[0].end(self._rules.interval))
            self._bar_start = wanted[0].start
            if self._keeper.exchange.status(self._bar_start) == "closed":
                self._report.closed(self._keeper.exchange.name, self._bar_start.date())
            self.summary.already_fed += await self._keeper.bars(wanted, at, self._sent, self._done)
            self._in_doubt.clear()

    async def _was_there(self, bar: Bar) -> None:
        """A bar that need not be written: of an earlier feed, or ours, whose reply was lost."""
        taken = self._in_doubt.pop(bar, None)
        if taken is not None and await self._keeper.holds(bar):
            await self._done(taken)
        else:
            self._report.already_fed(bar, self._recent)

    def _sent(self, taken: Taken) -> None:
        self._in_doubt[taken.bar] = taken

    async def _done(self, taken: Taken) -> None:
        self._in_doubt[taken.bar] = taken  # as it was written, not as it was first thought of
        if self._recent.add(taken.bar):
            self._report.done(taken)
            self._on_bar(taken)
        await self._decided(taken)
        del self._in_doubt[taken.bar]

    async def _decided(self, taken: Taken) -> None:
        if taken.tick is not None and self._settled is not None:
            await self._wait_for(taken.tick, taken.bar)
            await self._keeper.read_decisions(taken.bar.symbol)

    async def _wait_for(self, tick: Tick, bar: Bar) -> None:
        """Wait until a tick is settled; a server that has forgotten its bar will never settle it."""
        assert self._settled is not None
        waiting = asyncio.create_task(self._settled(tick))
        try:
            while not (await asyncio.wait([waiting], timeout=_LOOK_AFTER_S))[0]:
                if not await self._keeper.holds(bar):
                    raise ForgottenError
            await waiting
        finally:
            waiting.cancel()
