"""The feed: bars and headlines in; every live key, positions and ticks out. One write a bar and symbol.

A bar is known at its end, and that is the time of everything it changes; a headline is known at its own time.
"""

import asyncio
import uuid
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from llmctx import clock
from llmctx.context.tick import Tick
from llmctx.flow.bars import BadRow, Bar
from llmctx.flow.book import Book
from llmctx.flow.compose import Composer, Taken
from llmctx.flow.exchange import Exchange
from llmctx.flow.market import Market
from llmctx.flow.marks import mark
from llmctx.flow.news import WINDOW, Headline
from llmctx.flow.orders import read_decisions
from llmctx.flow.paper import COST_BPS
from llmctx.flow.recall import recall_book, recall_market, recall_symbol
from llmctx.flow.report import Report
from llmctx.flow.signals import Signal
from llmctx.flow.step import Broker, in_shares_of, take_step
from llmctx.flow.store import Store, Written
from llmctx.flow.summary import Summary
from llmctx.flow.symbol import Symbol, wire_position
from llmctx.flow.timeline import Item, Moment, Vix, moments
from llmctx.flow.write import Write
from llmctx.schema import keys

_LONGEST_PAUSE_S = 3600
_POSITION = keys.BY_SECTION["position"]


class FeedRules(NamedTuple):
    """What shapes a feed beside its data."""

    interval: timedelta = timedelta(minutes=1)
    """How long a bar is."""
    ratios: Mapping[str, Decimal] = {}
    """Splits by symbol, new shares for each old one."""
    sectors: Mapping[str, str] = {}
    """Symbol to sector."""
    exchange: str = "XNYS"
    """Whose hours market_status follows."""
    vix: Decimal | None = None
    """The volatility index, where nobody sends readings of it."""
    broker: Broker | None = Broker(COST_BPS)
    """The paper broker; None only marks positions."""
    live: bool = False
    """Whether the data is of now, to be judged by the server's clock."""


class Feed:
    """Feeds bars and headlines in the order in which they come."""

    def __init__(
        self,
        store: Store,
        rules: FeedRules | None = None,
        *,
        speed: float | None = None,
        settled: Callable[[Tick], Awaitable[None]] | None = None,
        on_bar: Callable[[Taken], None] = lambda _: None,
        on_trouble: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`speed` is a multiple of real time, None as fast as it goes; with `settled` the next bar waits until it
        returns for each tick (lockstep).
        """
        self._store = store
        self._rules = rules or FeedRules()
        self._speed = speed
        self._settled = settled
        self._on_bar = on_bar
        self._report = Report(uuid.uuid4().hex[:12], on_trouble)
        self._symbols: dict[str, Symbol] = {}
        self._exchange = Exchange(self._rules.exchange)
        self._book = Book()
        self._stored_book = b""
        self._started = False
        self._time: datetime | None = None
        self._bar_start: datetime | None = None
        self._floor: datetime | None = None
        self.summary = self._report.summary
        """What was done so far."""
        self._composer = Composer(
            self.summary.run,
            Market(self._rules.sectors, self._rules.vix),
            self._rules.interval,
            live=self._rules.live,
            broker=self._rules.broker is not None,
        )

    async def run(self, items: Iterable[Item]) -> Summary:
        """Feed all of them; what is none is told and left out.

        Raises ServerError when the server does not answer.
        """
        for moment in moments(items):
            await self._moment(moment)
        await self._start()
        return self.summary

    async def follow(self, source: AsyncIterable[Moment]) -> Summary:
        """Feed what a source brings until it ends; the same rules hold."""
        async for moment in source:
            await self._moment(moment)
        await self._start()
        return self.summary

    async def _moment(self, moment: Moment) -> None:
        await self._start()
        if self._settled is not None:
            for item in moment:
                await self._items([item])
        else:
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
                    self._composer.market.vix = item.value
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
        self._composer.held |= await self._store.held_symbols()
        ends = await recall_market(self._store, self._composer.market, self._rules.interval)
        self._composer.watched |= ends.keys()
        self._composer.scanned = max(ends.values(), default=None)
        await self._recall_book()
        for name in self._rules.ratios:
            symbol = await self._symbol(name)
            if not symbol.raw:
                self._report.trouble(
                    f"--adjust {name}: there is no position in {name} to adjust", about=f"adjust {name}"
                )
            await self._adjust_position(symbol)

    async def _recall_book(self) -> None:
        if self._rules.broker is not None:
            self._book, self._stored_book = await recall_book(self._store)

    async def _pace(self, known: datetime) -> None:
        if self._speed is not None and self._time is not None and known > self._time:
            passed_s = (known - self._time).total_seconds()
            # nobody watches a night go by
            pause_s = passed_s if passed_s <= _LONGEST_PAUSE_S else self._rules.interval.total_seconds()
            await asyncio.sleep(pause_s / self._speed)
        self._time = known if self._time is None else max(known, self._time)

    async def _symbol(self, name: str) -> Symbol:
        """What is known of a symbol; the first time, what the server knows of it."""
        if name not in self._symbols:
            self._symbols[name] = await recall_symbol(self._store, name, self._rules.interval)
            self.summary.symbols = sorted(self._symbols)
        return self._symbols[name]

    async def _feed_headline(self, headline: Headline) -> None:
        symbol = await self._symbol(headline.symbol)
        now = self._time or self._floor
        if (now is not None and headline.at <= now - WINDOW) or not symbol.news.add(headline):
            self.summary.already_fed += 1
            return
        await self._pace(headline.at if now is None else max(now, headline.at))
        assert self._time is not None
        partition, status = self._store.partition_of(symbol.name), self._exchange.status(self._time)
        write = self._composer.headline(symbol, headline, partition, self._time, status)
        await self._store.write([write])
        self.summary.headlines += 1

    async def _feed_bars(self, bars: list[Bar]) -> None:
        """Feed bars of one start and different symbols, in one round trip."""
        on_the_way = []
        for bar in bars:
            symbol = await self._symbol(bar.symbol)
            if self._bar_start is not None and bar.start < self._bar_start:
                self._report.out_of_order(bar)
            elif symbol.track.last is not None and bar.start <= symbol.track.last.start:
                self.summary.already_fed += 1
            else:
                on_the_way.append(await self._take(symbol, bar))
        if on_the_way:
            await self._send(on_the_way)

    async def _take(self, symbol: Symbol, bar: Bar) -> tuple[Taken, Write]:
        await self._pace(bar.end(self._rules.interval))
        self._bar_start = bar.start
        ratio, found = symbol.take(bar, self._rules.ratios.get(bar.symbol))
        self._composer.market.update(bar.start.date(), bar.symbol, symbol.track.change_pct)
        self._composer.watched.add(bar.symbol)
        if self._exchange.status(bar.start) == "closed":
            self._report.closed(self._exchange.name, bar.start.date())
        return self._step(symbol, bar, ratio, found)

    def _step(self, symbol: Symbol, bar: Bar, ratio: Decimal | None, found: list[Signal]) -> tuple[Taken, Write]:
        """A bar worked through on what the server is believed to hold, and believed to be written from then on."""
        assert self._time is not None
        end, before = bar.end(self._rules.interval), symbol.raw
        status = self._exchange.status(end)
        step = take_step(
            symbol, bar, end, self._book, found,
            broker=self._rules.broker, ratios=self._rules.ratios, market_open=status == "open",
        )  # fmt: skip
        symbol.hold(step.raw, step.held)
        (self._composer.held.add if step.raw else self._composer.held.discard)(symbol.name)
        tick = None if step.cause is None else self._tick(bar, step.cause)
        taken = Taken(symbol, bar, end, ratio, found, status, before, step, tick)
        partition = self._store.partition_of(symbol.name)
        write = self._composer.bar(taken, partition, self._stored_book, self._time)
        if self._rules.broker is not None:
            self._book, self._stored_book = step.book, step.book.wire
        return taken, write

    async def _send(self, on_the_way: list[tuple[Taken, Write]]) -> None:
        """Write bars; those that stood on something which somebody else has changed are worked through once more."""
        answers = await self._store.write([write for _, write in on_the_way])
        refused = [(taken, answer) for (taken, _), answer in zip(on_the_way, answers, strict=True) if not answer.done]
        if refused and self._rules.broker is not None:
            await self._recall_book()
        for (taken, _), answer in zip(on_the_way, answers, strict=True):
            if answer.done:
                await self._done(taken, answer)
        for taken, answer in refused:
            if not answer.changed:  # another feed is ahead of us: go on from what it left
                del self._symbols[taken.bar.symbol]
                self.summary.already_fed += 1
            else:
                taken.symbol.hold(answer.changed[0])
                await self._send([self._step(taken.symbol, taken.bar, taken.ratio, taken.found)])

    async def _done(self, taken: Taken, answer: Written) -> None:
        partition = self._store.partition_of(taken.bar.symbol)
        self._book = read_decisions(self._book, partition, answer.decisions)
        taken.symbol.monitored = bool(taken.step.raw)
        self._report.done(taken)
        self._on_bar(taken)
        if taken.tick is not None and self._settled is not None:
            await self._settled(taken.tick)
            if self._rules.broker is not None:
                entries = await self._store.decisions(partition, self._book.seen[str(partition)])
                self._book = read_decisions(self._book, partition, entries)

    def _tick(self, bar: Bar, cause: str) -> Tick:
        at_ms = clock.to_ms(bar.start)
        return Tick(id=f"{self.summary.run}:{bar.symbol}:{at_ms}", symbol=bar.symbol, cause=cause)

    async def _adjust_position(self, symbol: Symbol) -> None:
        """Adjust a position that bars of an earlier feed have left behind."""
        last, at, position = symbol.track.last, symbol.track.known_at, symbol.held
        if last is None or at is None or position is None or position.last_update > at:
            return
        adjusted = in_shares_of(at, position, last.close, self._rules.ratios)
        if adjusted is None or adjusted is position:
            return
        rewritten = mark(adjusted, last.close, at)
        tick = self._tick(last, "position_adjusted")
        partition = self._store.partition_of(symbol.name)
        write = Write(symbol.name, partition, self.summary.run, seen="")
        write.guard(_POSITION.key(symbol.name), symbol.raw).set(_POSITION, wire_position(rewritten))
        write.append(keys.ticks(partition), tick.fields())
        if not (await self._store.write([write]))[0].done:
            return
        symbol.hold(wire_position(rewritten), rewritten)
        self.summary.adjusted.append(last.symbol)
        self.summary.ticks += 1
        if self._settled is not None:
            await self._settled(tick)
