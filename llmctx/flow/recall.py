"""What an earlier feed left in the server: the symbols, the market, the book. A feed goes on from there."""

from datetime import datetime, timedelta

from llmctx import clock
from llmctx.errors import FeedError
from llmctx.flow.book import Book
from llmctx.flow.market import Market
from llmctx.flow.news import Headline
from llmctx.flow.orders import read_decisions
from llmctx.flow.store import Store
from llmctx.flow.symbol import Symbol
from llmctx.schema import keys


async def recall_symbol(store: Store, name: str, interval: timedelta) -> Symbol:
    """A symbol with its bars, headlines and position.

    Raises ServerError when the server does not answer.
    """
    symbol = Symbol(name, interval)
    symbol.recall([found async for found in store.bars(name)])
    for member in await store.news(name):
        symbol.news.add(Headline.of_member(name, member))
    symbol.hold(await store.value(keys.BY_SECTION["position"].key(name)))
    return symbol


async def recall_market(store: Store, market: Market, interval: timedelta) -> dict[str, datetime]:
    """Every symbol that has had a bar, with the end of its last one; the market learns the changes of the newest day.

    Raises ServerError when the server does not answer.
    """
    screened = await store.screened()
    ends = {symbol: clock.from_ms(end_ms) for symbol, (end_ms, _) in screened.items()}
    dates = {symbol: (end - interval).date() for symbol, end in ends.items()}
    newest = max(dates.values(), default=None)
    for symbol, (_, change_pct) in screened.items():
        if newest is not None and dates[symbol] == newest:
            market.update(newest, symbol, change_pct)
    return ends


async def recall_book(store: Store) -> tuple[Book, bytes]:
    """The paper broker's book with every decision read since, and its bytes as they stand in the server.

    Raises ServerError when the server does not answer, FeedError where what stands there is no book.
    """
    stored = await store.value(keys.BOOK)
    try:
        book = Book.of_wire(stored)
    except ValueError as error:
        raise FeedError(
            f"{keys.BOOK} cannot be read: {error}.", f"Delete it to begin a new book: redis-cli DEL {keys.BOOK}"
        ) from error
    for partition, newest in (await store.last_decisions()).items():
        if str(partition) in book.seen:
            entries = await store.decisions(partition, book.seen[str(partition)])
            book = read_decisions(book, partition, entries)
        else:  # what was decided before there was a broker is none of its business
            book = book.with_seen(partition, newest)
    return book, stored
