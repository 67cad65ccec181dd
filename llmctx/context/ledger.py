"""The ledger: earlier decisions about a symbol, as far as limits count them.

It comes from the owner's own trail, never from a key that others can write, and is part of the snapshot, so a rebuild
judges as the live run did. The ledger after a record follows from ledger, package and verdict of that record.
"""

from decimal import Decimal
from typing import Any, NamedTuple

from llmctx import clock
from llmctx.schema.values import Position

_HOUR_MS, _DAY_MS = 3_600_000, 86_400_000
_MAX_ACTIONS = 200
_DECIMALS = ("opened", "quantity", "stop_loss", "take_profit", "day_equity", "peak_equity")


class Pending(NamedTuple):
    """A decision that has not shown an effect yet."""

    address: str
    """Its record; empty for a dead letter."""
    action: str
    """Its action."""
    at_ms: int
    """The time of its package, in milliseconds."""
    quantity: Decimal
    """The position's quantity then."""
    stop_loss: Decimal | None = None
    """Its stop then."""
    take_profit: Decimal | None = None
    """Its target then."""
    again_ms: int | None = None
    """The time of the package for which it was last published again, in milliseconds; None if it never was."""

    def waits(self, position: Position) -> bool:
        """Whether the same position shows no effect of it yet. An exit waits as long as the position is open."""
        if self.action == "adjust_stops":
            return (self.stop_loss, self.take_profit) == (position.stop_loss, position.take_profit)
        return self.action == "exit" or self.quantity == position.quantity


class Ledger(NamedTuple):
    """Earlier decisions about a symbol."""

    entry_ms: int | None = None
    """The entry time of the position that `opened`, `adds` and `pending` are about, in milliseconds."""
    opened: Decimal | None = None
    """The quantity of that position when it was first seen."""
    adds: int = 0
    """How many times it was added to."""
    day: int = 0
    """The day that `adds_today` is about, in days since 1970 (UTC)."""
    adds_today: int = 0
    """How many times the symbol was added to that day."""
    actions: tuple[int, ...] = ()
    """The times of actions within the last hour, in milliseconds."""
    exited_ms: int | None = None
    """When an exit was last decided, in milliseconds."""
    pending: tuple[Pending, ...] = ()
    """Decisions without an effect so far, at most one for each action: the first exit, otherwise the last."""
    day_equity: Decimal | None = None
    """The first known equity of the account on that day; None if unknown."""
    peak_equity: Decimal | None = None
    """The highest known equity of the account; None if unknown."""

    def at(self, position: Position, as_of_ms: int, equity: Decimal | None = None) -> "Ledger":
        """The ledger for a position at a time, without entries about other positions, days and hours.

        `equity` is the account's, if known.
        """
        entry_ms, day = clock.to_ms(position.entry_time), as_of_ms // _DAY_MS
        found = self
        if self.entry_ms != entry_ms:
            found = found._replace(entry_ms=entry_ms, opened=position.quantity, adds=0, pending=())
        else:
            found = found._replace(pending=tuple(one for one in self.pending if one.waits(position)))
        if self.day != day:
            found = found._replace(day=day, adds_today=0, day_equity=None)
        if equity is not None:
            peak = equity if found.peak_equity is None else max(equity, found.peak_equity)
            found = found._replace(day_equity=found.day_equity or equity, peak_equity=peak)
        return found._replace(actions=tuple(at_ms for at_ms in self.actions if abs(as_of_ms - at_ms) < _HOUR_MS))

    def after(self, position: Position, action: str, at_ms: int, address: str) -> "Ledger":
        """The ledger after the execution side received an action for the package that `at` made this ledger for."""
        if action in ("hold", "none"):
            return self
        found = self._replace(actions=(*self.actions, at_ms)[-_MAX_ACTIONS:])
        if action == "add":
            found = found._replace(adds=self.adds + 1, adds_today=self.adds_today + 1)
        if action == "exit":
            found = found._replace(exited_ms=at_ms)
        levels = (position.quantity, position.stop_loss, position.take_profit)
        pending, first = Pending(address, action, at_ms, *levels), self.waiting("exit")
        if action == "exit" and first is not None:
            pending = first._replace(again_ms=at_ms)
        others = tuple(one for one in self.pending if one.action != action)
        return found._replace(pending=(*others, pending))

    def waiting(self, action: str) -> Pending | None:
        """The decision for an action that has not shown an effect yet."""
        return next((one for one in self.pending if one.action == action), None)

    def without(self, address: str) -> "Ledger":
        """The ledger without waiting for the decision in the record at an address."""
        return self._replace(pending=tuple(one for one in self.pending if one.address != address))

    def document(self) -> dict[str, Any]:
        """The ledger as JSON with decimals as texts; fields at their default are left out."""
        document = _document(self)
        if self.actions:
            document["actions"] = list(self.actions)
        if self.pending:
            document["pending"] = [_document(one) for one in self.pending]
        return document

    @classmethod
    def parse(cls, document: Any) -> "Ledger":
        """Parse what `document()` wrote.

        Raises ValueError, TypeError, KeyError or ArithmeticError if it is malformed.
        """
        pending = tuple(Pending(**_parsed(one)) for one in document.get("pending", ()))
        return cls(**_parsed(document) | {"actions": tuple(document.get("actions", ())), "pending": pending})


def _document(value: Ledger | Pending) -> dict[str, Any]:
    return {
        name: format(item, "f") if isinstance(item, Decimal) else item
        for name, item in value._asdict().items()
        if item != value._field_defaults.get(name)
    }


def _parsed(document: Any) -> dict[str, Any]:
    return {name: Decimal(item) if name in _DECIMALS else item for name, item in dict(document).items()}
