"""The keeper of the live keys: what it believes the server to hold, and how a bar or a headline changes that.

It goes on from its own belief without asking, so that bars can go out many at a time; a write that stood on something
which somebody else has changed is refused, and its bar is worked through once more on what stands there now.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime
from decimal import Decimal

from llmctx import clock
from llmctx.context.tick import Tick
from llmctx.flow.bars import Bar
from llmctx.flow.book import Book
from llmctx.flow.compose import Composer, Taken
from llmctx.flow.exchange import Exchange
from llmctx.flow.market import Market
from llmctx.flow.marks import mark
from llmctx.flow.news import Headline
from llmctx.flow.orders import read_decisions
from llmctx.flow.recall import recall_book, recall_market, recall_symbol
from llmctx.flow.rules import FeedRules
from llmctx.flow.signals import Signal
from llmctx.flow.step import in_shares_of, take_step
from llmctx.flow.store import Store, Written
from llmctx.flow.symbol import Symbol, wire_position
from llmctx.flow.write import Write
from llmctx.schema import keys

_POSITION = keys.BY_SECTION["position"]


class ForgottenError(Exception):
    """The server does not have what was written to it: it came back with less."""


class Keeper:
    """Keeps the live keys of one feed."""

    def __init__(self, store: Store, rules: FeedRules, run: str) -> None:
        self._store = store
        self._rules = rules
        self._run = run
        self.exchange = Exchange(rules.exchange)
        """Whose hours market_status follows."""
        self.composer = Composer(
            run,
            Market(rules.sectors, rules.vix),
            rules.interval,
            live=rules.live,
            broker=rules.broker is not None,
        )
        """What puts the writes together."""
        self._symbols: dict[str, Symbol] = {}
        self._book = Book()
        self._stored_book = b""

    @property
    def names(self) -> list[str]:
        """The symbols that are known."""
        return sorted(self._symbols)

    async def recall(self) -> None:
        """Forget what was believed, and find out what the server holds.

        Raises ServerError when the server does not answer, FeedError where the book cannot be read.
        """
        self._symbols.clear()
        composer = self.composer
        composer.held = set(await self._store.held_symbols())
        ends = await recall_market(self._store, composer.market, self._rules.interval)
        composer.watched = set(ends)
        composer.scanned = max(ends.values(), default=None)
        await self._recall_book()

    async def _recall_book(self) -> None:
        if self._rules.broker is not None:
            self._book, self._stored_book = await recall_book(self._store)

    async def symbol(self, name: str) -> Symbol:
        """What is known of a symbol; the first time, what the server knows of it."""
        if name not in self._symbols:
            self._symbols[name] = await recall_symbol(self._store, name, self._rules.interval)
        return self._symbols[name]

    async def read_decisions(self, symbol: str) -> None:
        """Learn what was decided in a symbol's partition since the last look."""
        if self._rules.broker is not None:
            partition = self._store.partition_of(symbol)
            entries = await self._store.decisions(partition, self._book.seen[str(partition)])
            self._book = read_decisions(self._book, partition, entries)

    async def headline(self, headline: Headline, at: datetime) -> None:
        """Write a headline that is known at `at`; its symbol has taken it already."""
        symbol = await self.symbol(headline.symbol)
        partition, status = self._store.partition_of(symbol.name), self.exchange.status(at)
        await self._store.write([self.composer.headline(symbol, headline, partition, at, status)])

    async def bars(
        self,
        bars: list[Bar],
        at: datetime,
        sent: Callable[[Taken], None],
        done: Callable[[Taken], Awaitable[None]],
    ) -> int:
        """Write bars of different symbols in one round trip; how many of them another feed had written.

        `at` is the time of the clock; `sent` is told each before it goes out, `done` each that is written.

        Raises ForgottenError where the server has lost earlier ones.
        """
        on_the_way = []
        for bar in bars:
            symbol = await self.symbol(bar.symbol)
            before = symbol.track.last
            ratio, found = symbol.take(bar, self._rules.ratios.get(bar.symbol))
            self.composer.market.update(bar.start.date(), bar.symbol, symbol.track.change_pct)
            self.composer.watched.add(bar.symbol)
            on_the_way.append(self._step(symbol, bar, before, ratio, found, at))
            sent(on_the_way[-1][0])
        return await self._send(on_the_way, at, done)

    def _step(
        self,
        symbol: Symbol,
        bar: Bar,
        bar_before: Bar | None,
        ratio: Decimal | None,
        found: list[Signal],
        at: datetime,
    ) -> tuple[Taken, Write]:
        """A bar worked through on what the server is believed to hold, and believed to be written from then on."""
        end, before = bar.end(self._rules.interval), symbol.raw
        status = self.exchange.status(end)
        step = take_step(
            symbol, bar, end, self._book, found,
            broker=self._rules.broker, ratios=self._rules.ratios, market_open=status == "open",
        )  # fmt: skip
        symbol.hold(step.raw, step.held)
        (self.composer.held.add if step.raw else self.composer.held.discard)(symbol.name)
        tick = None if step.cause is None else self._tick(bar, step.cause)
        taken = Taken(symbol, bar, bar_before, end, ratio, found, status, before, step, tick)
        write = self.composer.bar(taken, self._store.partition_of(symbol.name), self._stored_book, at)
        if self._rules.broker is not None:
            self._book, self._stored_book = step.book, step.book.wire
        return taken, write

    async def _send(
        self, on_the_way: list[tuple[Taken, Write]], at: datetime, done: Callable[[Taken], Awaitable[None]]
    ) -> int:
        answers = await self._store.write([write for _, write in on_the_way])
        refused = [(taken, answer) for (taken, _), answer in zip(on_the_way, answers, strict=True) if not answer.done]
        forgotten = any(answer.forgotten for answer in answers)
        if refused and not forgotten:
            await self._recall_book()
        for (taken, _), answer in zip(on_the_way, answers, strict=True):
            if answer.done:
                self._learn(taken, answer)
                await done(taken)
        if forgotten:
            raise ForgottenError
        fed_by_others = 0
        for taken, answer in refused:
            if not answer.changed:  # another feed is ahead of us: go on from what it left
                del self._symbols[taken.bar.symbol]
                fed_by_others += 1
            else:
                taken.symbol.hold(answer.changed[0])
                again = self._step(taken.symbol, taken.bar, taken.bar_before, taken.ratio, taken.found, at)
                fed_by_others += await self._send([again], at, done)
        return fed_by_others

    def _learn(self, taken: Taken, answer: Written) -> None:
        partition = self._store.partition_of(taken.bar.symbol)
        self._book = read_decisions(self._book, partition, answer.decisions)
        taken.symbol.monitored = bool(taken.step.raw)

    async def holds(self, bar: Bar) -> bool:
        """Whether the server has a bar that this feed has written."""
        return await self._store.writer_of(bar) == self._run

    def _tick(self, bar: Bar, cause: str) -> Tick:
        at_ms = clock.to_ms(bar.start)
        return Tick(id=f"{self._run}:{bar.symbol}:{at_ms}", symbol=bar.symbol, cause=cause)

    async def adjust_position(self, name: str) -> Tick | None:
        """Adjust a position that bars of an earlier feed have left behind; the tick that it raises."""
        symbol = await self.symbol(name)
        last, at, position = symbol.track.last, symbol.track.known_at, symbol.held
        if last is None or at is None or position is None or position.last_update > at:
            return None
        adjusted = in_shares_of(at, position, last.close, self._rules.ratios)
        if adjusted is None or adjusted is position:
            return None
        rewritten, tick = mark(adjusted, last.close, at), self._tick(last, "position_adjusted")
        partition = self._store.partition_of(name)
        write = Write(name, partition, self._run).guard(_POSITION.key(name), symbol.raw)
        write.set(_POSITION, wire_position(rewritten))
        write.append(keys.ticks(partition), tick.fields())
        if not (await self._store.write([write]))[0].done:
            return None
        symbol.hold(wire_position(rewritten), rewritten)
        return tick
