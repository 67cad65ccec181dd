"""The tick queue of an owner: ticks by symbol, the newest wins, none twice. Pure: no server, no clock.

While a symbol is being decided, its ticks wait. Waiting ticks are conflated into the newest, whose record lists them.
"""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from llmctx.context.tick import Tick
from llmctx.limits import MAX_CONFLATED


@dataclass
class Batch:
    """The ticks of one symbol that one record will settle."""

    tick: Tick
    """The newest tick, on which a decision is made."""
    conflated: list[str] = field(default_factory=list)
    """The ids of the older ticks that the same record settles."""
    entry_ids: list[str] = field(default_factory=list)
    """The ids of the stream entries that brought them."""
    redelivered: bool = False
    """Whether any of them was delivered before, so a decision may have been started already."""
    at: tuple[int, int] = field(default=(0, 0), compare=False)
    """The place of the newest tick in the stream."""
    ticks: dict[str, Tick] = field(default_factory=dict, compare=False)
    """Stream entry id to the tick it brought."""

    def only(self, wanted: Callable[[str], bool]) -> "Batch | None":
        """The part of the batch whose tick ids are wanted; None if no tick is."""
        ticks = {entry_id: tick for entry_id, tick in self.ticks.items() if wanted(tick.id)}
        if not ticks:
            return None
        newest = ticks[max(ticks, key=order)] if self.tick.id not in {t.id for t in ticks.values()} else self.tick
        conflated = dict.fromkeys(tick.id for tick in ticks.values() if tick.id != newest.id)
        return Batch(newest, list(conflated), list(ticks), redelivered=self.redelivered, at=self.at, ticks=ticks)


class TickQueue:
    """Batches of ticks by symbol; at most one batch of a symbol is being decided."""

    def __init__(self) -> None:
        self._waiting: dict[str, deque[Batch]] = {}
        self._busy: dict[str, Batch] = {}
        self._by_tick: dict[str, Batch] = {}
        self._entries: set[str] = set()

    def __len__(self) -> int:
        """How many stream entries are queued or being decided."""
        return len(self._entries)

    def holds(self, entry_id: str) -> bool:
        """Whether a stream entry is queued or being decided."""
        return entry_id in self._entries

    def add(self, entry_id: str, tick: Tick, *, redelivered: bool) -> None:
        """Add a tick; if its id is here already, only the stream entry is added."""
        if entry_id in self._entries:
            return
        self._entries.add(entry_id)
        batch = self._by_tick.get(tick.id)
        if batch is None:
            batch = self._batch_for(tick, order(entry_id))
            self._by_tick[tick.id] = batch
        batch.entry_ids.append(entry_id)
        batch.ticks[entry_id] = tick
        batch.redelivered |= redelivered

    def _batch_for(self, tick: Tick, at: tuple[int, int]) -> Batch:
        waiting = self._waiting.setdefault(tick.symbol, deque())
        if waiting and len(waiting[-1].conflated) < MAX_CONFLATED:
            batch = waiting[-1]
            if at < batch.at:  # redelivered after a newer tick
                batch.conflated.append(tick.id)
            else:
                batch.conflated.append(batch.tick.id)
                batch.tick, batch.at = tick, at
            return batch
        waiting.append(Batch(tick, at=at))
        return waiting[-1]

    def take(self, room: int) -> Iterable[Batch]:
        """Yield at most `room` batches that may be decided now: one for each symbol that is not being decided."""
        free = [symbol for symbol in self._waiting if symbol not in self._busy][: max(0, room)]
        for symbol in free:
            batch = self._waiting[symbol].popleft()
            if not self._waiting[symbol]:
                del self._waiting[symbol]
            self._busy[symbol] = batch
            yield batch

    def done(self, batch: Batch) -> None:
        """Remove a batch that is settled or left pending in the stream, and free its symbol."""
        self._busy.pop(batch.tick.symbol, None)
        self._entries.difference_update(batch.entry_ids)
        for tick_id in (batch.tick.id, *batch.conflated):
            self._by_tick.pop(tick_id, None)

    @property
    def busy(self) -> int:
        """How many symbols are being decided."""
        return len(self._busy)

    @property
    def empty(self) -> bool:
        """Whether nothing waits and nothing is being decided."""
        return not self._busy and not self._waiting


def order(entry_id: str) -> tuple[int, int]:
    """The place of a stream entry: milliseconds and sequence number."""
    ms, _, sequence = entry_id.partition("-")
    return int(ms), int(sequence or 0)
