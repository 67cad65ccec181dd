"""The live keys of one feed: what the server is believed to hold, and how a bar or a headline changes it.

The feed continues from its own belief without asking the server, so many bars can be sent at once. A write based on
something that somebody else has changed is refused, and its bar is worked through again on what is stored now.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial

from llmctx import clock
from llmctx.context.tick import Tick
from llmctx.errors import FeedError
from llmctx.flow.bars import Bar
from llmctx.flow.book import Book
from llmctx.flow.compose import Composer, FedBar
from llmctx.flow.exchange import Exchange
from llmctx.flow.funding import FundingRates
from llmctx.flow.mark_to_market import adjusted_for_jump, mark, position_to_wire
from llmctx.flow.news import Headline
from llmctx.flow.portfolio import peak_in
from llmctx.flow.rules import FeedRules
from llmctx.flow.step import take_step
from llmctx.flow.store import Store, WriteResult
from llmctx.flow.symbol import Symbol, TrackedBar
from llmctx.flow.write import Write
from llmctx.schema import keys

_POSITION = keys.BY_SECTION["position"]


class LostWritesError(Exception):
    """The server has lost writes: it restarted without its last ones."""


class LiveKeys:
    """The live keys of one feed."""

    def __init__(self, store: Store, rules: FeedRules, run: str) -> None:
        """Raises FeedError if the exchange is unknown."""
        self._store = store
        self._rules = rules
        self._run = run
        self.exchange = Exchange(rules.exchange)
        """The exchange whose hours market_status follows."""
        self.composer = Composer(run, rules)
        """Composes the writes."""
        self.funding_rates = FundingRates()
        """The newest funding rates."""
        self._date_of_bar = partial(self.exchange.date_of_bar, interval=rules.interval)
        self._symbols: dict[str, Symbol] = {}
        self._book = Book()
        self._stored_book = b""

    @property
    def names(self) -> list[str]:
        """The known symbols, sorted."""
        return sorted(self._symbols)

    async def resume(self) -> None:
        """Discard all beliefs and read what the server holds.

        Raises ServerError if the server does not answer, FeedError if the stored book is malformed.
        """
        self._symbols.clear()
        self.composer.positions = await self._store.positions()
        await self._resume_market()
        await self._resume_book()

    async def _resume_market(self) -> None:
        """Continue from the newest day's changes."""
        composer, screened = self.composer, await self._store.screened()
        ends = {symbol: clock.from_ms(end_ms) for symbol, (end_ms, _) in screened.items()}
        dates = {symbol: self._date_of_bar(end - self._rules.interval) for symbol, end in ends.items()}
        newest = max(dates.values(), default=None)
        for symbol, (_, change_pct) in screened.items():
            if dates[symbol] == newest:
                composer.market.update(dates[symbol], symbol, change_pct)
        composer.watched_symbols = set(ends)
        composer.ranked_at = max(ends.values(), default=None)

    async def _resume_book(self) -> None:
        """Continue from the stored book and every decision published since."""
        if self._rules.cost_bps is None:
            return
        stored = await self._store.value(keys.BOOK)
        try:
            book = Book.from_wire(stored)
        except ValueError as error:
            raise FeedError(
                f"{keys.BOOK} cannot be read: {error}.", f"Delete it to start a new book: redis-cli DEL {keys.BOOK}"
            ) from error
        for partition, newest in (await self._store.last_decisions()).items():
            if str(partition) in book.seen:
                entries = await self._store.decisions(partition, book.seen[str(partition)])
                book = book.with_decisions(partition, entries)
            else:  # decisions from before there was a broker are not meant for it
                book = book.with_seen(partition, newest)
        self._book, self._stored_book = book, stored
        self.composer.account.peak = peak_in(await self._store.value(keys.PORTFOLIO), book.day)

    async def symbol(self, name: str) -> Symbol:
        """The state of a symbol; read from the server on first use."""
        if name not in self._symbols:
            symbol = Symbol(name, self._rules.interval, self._date_of_bar, self._rules.frames)
            symbol.replay([found async for found in self._store.bars(name)])
            for member in await self._store.news(name):
                symbol.news.add(Headline.from_member(name, member))
            symbol.set_position(await self._store.value(_POSITION.key(name)))
            self._symbols[name] = symbol
        return self._symbols[name]

    async def read_decisions(self, symbol: str) -> None:
        """Read the decisions published in a symbol's partition since the last read."""
        if self._rules.cost_bps is not None:
            partition = self._store.partition_of(symbol)
            entries = await self._store.decisions(partition, self._book.seen[str(partition)])
            self._book = self._book.with_decisions(partition, entries)

    async def write_headline(self, headline: Headline, at: datetime) -> None:
        """Write a headline known at `at`, which its symbol's news already contains."""
        symbol = await self.symbol(headline.symbol)
        partition, status = self._store.partition_of(symbol.name), self.exchange.status(at)
        await self._store.write([self.composer.headline(symbol, headline, partition, at, status)])

    async def write_bars(
        self,
        bars: list[Bar],
        at: datetime,
        on_send: Callable[[FedBar], None],
        on_written: Callable[[FedBar], Awaitable[None]],
    ) -> int:
        """Write bars of different symbols in one round trip, and return how many of them another feed had written.

        `at` is the time of the clock. `on_send` is called for each bar before it is sent, `on_written` for each written
        one.

        Raises LostWritesError if the server has lost earlier bars.
        """
        pending = []
        for bar in bars:
            symbol = await self.symbol(bar.symbol)
            tracked = self._with_funding(symbol.add(bar, self._rules.ratios.get(bar.symbol)))
            self.composer.market.update(symbol.track.day, bar.symbol, symbol.track.change_pct)
            self.composer.watched_symbols.add(bar.symbol)
            pending.append(self._work_through(tracked, at))
            on_send(pending[-1][0])
        return await self._send(pending, at, on_written)

    async def known(self, bar: Bar) -> Bar | None:
        """The server's bar with the same symbol and start; None if it has none."""
        symbol = await self.symbol(bar.symbol)
        last = symbol.track.last
        if last is None or symbol.first is None or not symbol.first <= bar.start <= last.start:
            return None
        return last if bar.start == last.start else await self._store.bar_at(bar.symbol, bar.start)

    async def correct_bar(self, bar: Bar, at: datetime) -> FedBar | None:
        """Replace the stored bar with the same start; None if another feed is ahead.

        Prices, indicators and the mark of the position follow it. The paper broker does nothing: its fills on the
        earlier version stand.
        """
        old = await self.symbol(bar.symbol)
        symbol = Symbol(bar.symbol, self._rules.interval, self._date_of_bar, self._rules.frames)
        stored = [
            (bar if found.start == bar.start else found, ratio) async for found, ratio in self._store.bars(bar.symbol)
        ]
        *before, (newest, applied) = stored
        symbol.replay(before)
        symbol.news = old.news
        symbol.set_position(old.raw_position, old.position)
        tracked = symbol.add(newest, self._rules.ratios.get(bar.symbol, applied))
        self.composer.market.update(symbol.track.day, bar.symbol, symbol.track.change_pct)
        status = self.exchange.status(tracked.end)
        step = take_step(tracked, self._book, self._rules._replace(cost_bps=None), market_open=status == "open")
        version = f":{clock.to_ms(bar.start)}:{bar.close}"
        tick = None if step.cause is None else self._tick(newest, step.cause, version=version)
        ratio = next(ratio for found, ratio in stored if found is bar)
        fed = FedBar(tracked, status, old.raw_position, step, tick, corrects=(bar, ratio))
        partition = self._store.partition_of(bar.symbol)
        (result,) = await self._store.write([self.composer.bar(fed, partition, self._stored_book, at)])
        if result.changed:
            old.set_position(result.changed[0])
            await self._resume_book()
            return await self.correct_bar(bar, at)
        if not result.done:
            del self._symbols[bar.symbol]
            return None
        symbol.set_position(step.raw_position, step.position)
        self._accept(fed, result)
        self._symbols[bar.symbol] = symbol
        return fed

    def _with_funding(self, tracked: TrackedBar) -> TrackedBar:
        bar, before, rates = tracked.bar, tracked.bar_before, self.funding_rates
        since = bar.start if before is None else before.end(self._rules.interval)
        due, newest = rates.due(bar.symbol, since, tracked.end), rates.newest(bar.symbol, tracked.end)
        return tracked._replace(funding=due, funding_rate=newest)

    def _work_through(self, tracked: TrackedBar, at: datetime) -> tuple[FedBar, Write]:
        """Apply a bar to what the server is believed to hold, and believe the result to be written from then on."""
        symbol, bar, before = tracked.symbol, tracked.bar, tracked.symbol.raw_position
        status = self.exchange.status(tracked.end)
        step = take_step(tracked, self._book, self._rules, market_open=status == "open")
        symbol.set_position(step.raw_position, step.position)
        if step.raw_position:
            self.composer.positions[symbol.name] = step.position
        else:
            self.composer.positions.pop(symbol.name, None)
        tick = None if step.cause is None else self._tick(bar, step.cause)
        fed = FedBar(tracked=tracked, market_status=status, raw_position_before=before, step=step, tick=tick)
        write = self.composer.bar(fed, self._store.partition_of(symbol.name), self._stored_book, at)
        if self._rules.cost_bps is not None:
            self._book, self._stored_book = step.book, step.book.wire
        return fed, write

    async def _send(
        self, pending: list[tuple[FedBar, Write]], at: datetime, on_written: Callable[[FedBar], Awaitable[None]]
    ) -> int:
        results = await self._store.write([write for _, write in pending])
        refused = [(fed, result) for (fed, _), result in zip(pending, results, strict=True) if not result.done]
        bars_lost = any(result.bar_lost for result in results)
        if refused and not bars_lost:
            await self._resume_book()
        for (fed, _), result in zip(pending, results, strict=True):
            if result.done:
                self._accept(fed, result)
                await on_written(fed)
        if bars_lost:
            raise LostWritesError
        fed_by_others = 0
        for fed, result in refused:
            if not result.changed:  # another feed is ahead: continue from its state
                del self._symbols[fed.bar.symbol]
                fed_by_others += 1
            else:
                fed.tracked.symbol.set_position(result.changed[0])
                again = self._work_through(fed.tracked, at)
                fed_by_others += await self._send([again], at, on_written)
        return fed_by_others

    def _accept(self, fed: FedBar, result: WriteResult) -> None:
        partition = self._store.partition_of(fed.bar.symbol)
        self._book = self._book.with_decisions(partition, result.decisions)
        fed.tracked.symbol.monitored = bool(fed.step.raw_position)

    async def has(self, bar: Bar) -> bool:
        """Whether the server has a bar that this feed wrote."""
        return await self._store.writer_of(bar) == self._run

    def _tick(self, bar: Bar, cause: str, *, version: str = "") -> Tick:
        at_ms = clock.to_ms(bar.start)
        return Tick(id=f"{self._run}:{bar.symbol}:{at_ms}{version}", symbol=bar.symbol, cause=cause)

    async def adjust_position(self, name: str) -> Tick | None:
        """Adjust a position for a split that an earlier feed passed without a ratio; the tick it raises, or None."""
        symbol = await self.symbol(name)
        last, at, position = symbol.track.last, symbol.track.known_at, symbol.position
        if last is None or at is None or position is None or position.last_update > at:
            return None
        adjusted = adjusted_for_jump(position, last.close, at, self._rules.ratios)
        if adjusted is None or adjusted is position:
            return None
        marked, tick = mark(adjusted, last.close, at), self._tick(last, "position_adjusted")
        raw, partition = position_to_wire(marked), self._store.partition_of(name)
        write = Write(name, partition, self._run).guard(_POSITION.key(name), symbol.raw_position)
        write.set(_POSITION, raw)
        write.append(keys.ticks(partition), tick.fields())
        if not (await self._store.write([write]))[0].done:
            return None
        symbol.set_position(raw, marked)
        return tick
