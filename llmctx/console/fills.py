"""The trades: from the effects in the trail or, if there are none, from the paper broker's book."""

from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

from llmctx import clock
from llmctx.connection.streams import read_stream_back
from llmctx.console.subject import Live
from llmctx.schema import keys
from llmctx.trail.log.entry import Entry

_MAX_FILLS = 2000


class Fill(NamedTuple):
    """What was traded at one time."""

    at_ms: int
    """When."""
    side: str
    """buy or sell."""
    quantity: Decimal
    """Shares."""
    price: Decimal
    """Price per share."""


def recorded_fills(entries: Sequence[Entry]) -> list[Fill]:
    """The fills among the effects of some records, in their order."""
    fills = []
    for entry in entries:
        effect = entry.record.get("effect", {})
        try:
            quantity, price = Decimal(effect["quantity"]), Decimal(effect["price"])
            fills.append(Fill(entry.record["as_of_ms"], effect["side"], quantity, price))
        except (KeyError, TypeError, ArithmeticError):
            continue  # not a fill, or not written by this program
    return fills


async def paper_fills(live: Live, symbol: str) -> list[Fill]:
    """The paper broker's newest fills of a symbol, oldest first; malformed ones are left out.

    Raises RedisError if the server does not answer.
    """
    fills = []
    for entry in reversed(await read_stream_back(live.redis, keys.FILLS, count=_MAX_FILLS)):
        fields = {name.decode(errors="replace"): value.decode(errors="replace") for name, value in entry.fields.items()}
        try:
            if fields["symbol"] == symbol:
                at_ms = clock.to_ms(clock.parse_iso(fields["at"]))
                fills.append(Fill(at_ms, fields["side"], Decimal(fields["quantity"]), Decimal(fields["price"])))
        except (KeyError, ValueError, ArithmeticError):
            continue  # others may write to the stream
    return fills
