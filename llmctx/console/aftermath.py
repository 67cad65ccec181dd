"""What the market did after a decision, as far as bars are still in the server."""

from collections.abc import Mapping

from llmctx.connection.streams import read_stream
from llmctx.console.measured import decided_of
from llmctx.console.subject import Subject
from llmctx.context.marks import read_bar
from llmctx.replay.outcome import MINUTES
from llmctx.schema import keys
from llmctx.trail.log.entry import Entry

_MINUTE_MS = 60_000
_MAX_BARS = 200


async def moves_after(subject: Subject, entry: Entry, blobs: Mapping[str, bytes]) -> list[tuple[str, float]]:
    """The move of the price in percent, at each horizon that the bars reach.

    Raises RedisError if the server does not answer.
    """
    decided = decided_of(entry, blobs)
    if subject.live is None or decided is None:
        return []
    symbol, as_of_ms, price = decided.symbol, decided.as_of_ms, decided.price
    found = await read_stream(subject.live.redis, keys.bars(symbol), f"{as_of_ms - _MINUTE_MS}", count=_MAX_BARS)
    bars = [read_bar(f"{each.number}-0".encode(), each.fields.get(b"close", b"")) for each in found]
    usable = [bar for bar in bars if bar is not None]
    moves = []
    for minutes in MINUTES:
        end_ms = as_of_ms + minutes * _MINUTE_MS
        until = [bar for bar in usable if bar.start_ms + _MINUTE_MS <= end_ms]
        if until and usable[-1].start_ms + _MINUTE_MS >= end_ms:
            moves.append((f"{minutes} min", float((until[-1].close / price - 1) * 100)))
    return moves
