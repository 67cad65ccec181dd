"""What an earlier feed left in the server: symbols, market and book, from which a new feed resumes."""

from datetime import datetime, timedelta

from llmctx import clock
from llmctx.errors import FeedError
from llmctx.flow.book import Book
from llmctx.flow.market_context import MarketContext
from llmctx.flow.news import Headline
from llmctx.flow.store import Store
from llmctx.flow.symbol import Symbol
from llmctx.schema import keys


async def resume_symbol(store: Store, name: str, interval: timedelta) -> Symbol:
    """Read a symbol with its bars, headlines and position.

    Raises ServerError if the server does not answer.
    """
    symbol = Symbol(name, interval)
    symbol.replay([found async for found in store.bars(name)])
    for member in await store.news(name):
        symbol.news.add(Headline.from_member(name, member))
    symbol.set_position(await store.value(keys.BY_SECTION["position"].key(name)))
    return symbol


async def resume_market(store: Store, market: MarketContext, interval: timedelta) -> dict[str, datetime]:
    """Update the market with the newest day's changes, and return each symbol with the end of its last bar.

    Raises ServerError if the server does not answer.
    """
    screened = await store.screened()
    ends = {symbol: clock.from_ms(end_ms) for symbol, (end_ms, _) in screened.items()}
    dates = {symbol: (end - interval).date() for symbol, end in ends.items()}
    newest = max(dates.values(), default=None)
    for symbol, (_, change_pct) in screened.items():
        if newest is not None and dates[symbol] == newest:
            market.update(newest, symbol, change_pct)
    return ends


async def resume_book(store: Store) -> tuple[Book, bytes]:
    """Read the paper broker's book, with every decision published since, and its bytes as stored.

    Raises ServerError if the server does not answer, FeedError if the stored book is malformed.
    """
    stored = await store.value(keys.BOOK)
    try:
        book = Book.from_wire(stored)
    except ValueError as error:
        raise FeedError(
            f"{keys.BOOK} cannot be read: {error}.", f"Delete it to start a new book: redis-cli DEL {keys.BOOK}"
        ) from error
    for partition, newest in (await store.last_decisions()).items():
        if str(partition) in book.seen:
            entries = await store.decisions(partition, book.seen[str(partition)])
            book = book.with_decisions(partition, entries)
        else:  # decisions from before there was a broker are not for it
            book = book.with_seen(partition, newest)
    return book, stored
