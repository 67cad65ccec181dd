"""Marks: what was believed about a symbol's price before this snapshot, and what is still in doubt.

They come from the owner's own trail, never from Redis, and are part of the snapshot, so a rebuild judges as the live
run did.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from pydantic_core import PydanticCustomError

from llmctx import canonical, clock
from llmctx.errors import in_short
from llmctx.limits import MAX_BY_CHARS, MAX_CONFIRMATION_BYTES, MAX_NUMBER_CHARS, MAX_WHY_CHARS
from llmctx.schema.fields import parse_number
from llmctx.schema.values import Position, Price


class Mark(NamedTuple):
    """One observed price of a position."""

    last: Decimal
    """price.price.last."""
    at_ms: int
    """price.timestamp, in milliseconds."""
    entry_ms: int
    """position.entry_time, which identifies the position, in milliseconds."""
    entry_price: Decimal
    """position.entry_price: a rewritten entry price means that the position is in other units."""
    stop_loss: Decimal | None = None
    """The stop at that time."""
    volume: Decimal | None = None
    """price.price.volume."""
    seen: int = 1
    """How many timestamps in a row had this price and volume."""
    by: str = ""
    """The person who confirmed the price; empty if nobody had to."""
    why: str = ""
    """The reason, in their words."""

    def is_on(self, position: Position) -> bool:
        """Whether its price can be compared with prices of this position."""
        return self.entry_price == position.entry_price and self.entry_ms == clock.to_ms(position.entry_time)

    def document(self) -> dict[str, Any]:
        """The mark as JSON with decimals as texts; fields at their default are left out."""
        return {
            name: str(value) if isinstance(value, Decimal) else value
            for name, value in self._asdict().items()
            if value != self._field_defaults.get(name)
        }

    @classmethod
    def parse(cls, document: Any) -> "Mark":
        """Parse what `document()` wrote.

        Raises ValueError, TypeError, KeyError or ArithmeticError if it is malformed.
        """
        fields = dict(document)
        for name in ("last", "entry_price", "stop_loss", "volume"):
            if name in fields:
                fields[name] = _number_in(fields[name])
        return cls(**fields)


def _number_in(text: object) -> Decimal:
    if not isinstance(text, str):
        raise TypeError(f"a number stands as text, not as {type(text).__name__}")
    return Decimal(text)


class LaterBar(NamedTuple):
    """The newest bar of a symbol, read while its price is in doubt."""

    start_ms: int
    """When it began, in milliseconds; its close came later."""
    close: Decimal
    """Its last price."""


class FirstSeen(NamedTuple):
    """When the present bytes of a section were first seen."""

    digest: str
    """The SHA-256 of the bytes, in hex."""
    at_ms: int
    """The time of the first package that contained them, in milliseconds."""


class Marks(NamedTuple):
    """What is known, before a snapshot, about a symbol's price and about sections without timestamps."""

    believed: Mark | None = None
    """The last price that was believed; None before the first."""
    doubted: Mark | None = None
    """The first price in doubt since then; None if there is none."""
    rules: tuple[str, ...] = ()
    """The rules that put it in doubt."""
    first_seen: Mapping[str, FirstSeen] = {}
    """When the bytes of each mapped section without a write time were first seen, by section."""

    def document(self) -> dict[str, Any]:
        """The marks as JSON; fields that are None or empty are left out."""
        document: dict[str, Any] = {}
        if self.believed is not None:
            document["believed"] = self.believed.document()
        if self.doubted is not None:
            document |= {"doubted": self.doubted.document(), "rules": list(self.rules)}
        if self.first_seen:
            document["first_seen"] = {name: list(seen) for name, seen in self.first_seen.items()}
        return document

    @classmethod
    def parse(cls, document: Any) -> "Marks":
        """Parse what `document()` wrote.

        Raises ValueError, TypeError, KeyError or ArithmeticError if it is malformed.
        """
        believed, doubted = document.get("believed"), document.get("doubted")
        return cls(
            None if believed is None else Mark.parse(believed),
            None if doubted is None else Mark.parse(doubted),
            tuple(document.get("rules", ())),
            {name: FirstSeen(*seen) for name, seen in document.get("first_seen", {}).items()},
        )


def read_confirmation(raw: bytes) -> Mark:
    """Parse the mark that a person confirms, as `document()` wrote it.

    Raises ValueError if it is malformed, or lacks who confirmed it and why.
    """
    if len(raw) > MAX_CONFIRMATION_BYTES:
        raise ValueError(f"the confirmation has more than {MAX_CONFIRMATION_BYTES} bytes")
    try:
        mark = Mark.parse(canonical.loads(raw))
        prices = [mark.last, mark.entry_price, *([] if mark.stop_loss is None else [mark.stop_loss])]
        usable = all(price.is_finite() and parse_number(price) > 0 for price in prices)
        times = all(type(ms) is int and 0 <= ms <= clock.MAX_MS for ms in (mark.at_ms, mark.entry_ms))
        texts = 0 < len(mark.by) <= MAX_BY_CHARS and 0 < len(mark.why) <= MAX_WHY_CHARS
        texts = texts and type(mark.by) is type(mark.why) is str
    except (TypeError, AttributeError, ArithmeticError, KeyError, PydanticCustomError) as error:
        raise ValueError(f"the confirmation is malformed: {in_short(error)}") from error
    if not usable or not times or not texts:
        raise ValueError("the confirmation needs positive prices, times, a name and a reason")
    return mark._replace(volume=None, seen=1)


def read_bar(entry_id: bytes, close: bytes) -> LaterBar | None:
    """Read an entry of a stream of bars; None if it is malformed."""
    if len(close) > MAX_NUMBER_CHARS:
        return None
    try:
        bar = LaterBar(int(entry_id.partition(b"-")[0]), parse_number(Decimal(close.decode())))
    except (ValueError, ArithmeticError):
        return None
    return bar if bar.close > 0 and 0 <= bar.start_ms <= clock.MAX_MS else None


def mark_of(position: Position, price: Price) -> Mark:
    """The mark of a position and its price."""
    session = price.price
    return Mark(
        session.last,
        clock.to_ms(price.timestamp),
        clock.to_ms(position.entry_time),
        position.entry_price,
        position.stop_loss,
        session.volume,
    )
