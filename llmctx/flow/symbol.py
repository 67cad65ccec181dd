"""What a feed knows of one symbol."""

from datetime import timedelta
from decimal import Decimal

from pydantic import ValidationError

from llmctx import canonical, clock
from llmctx.flow.bars import Bar
from llmctx.flow.news import News
from llmctx.flow.screening import FRESH, Screen
from llmctx.flow.signals import Signal, entries
from llmctx.flow.track import Track
from llmctx.schema.values import Position


class Symbol:
    """One symbol: its track, what was seen of it, its news, and its position as it stands in the server."""

    def __init__(self, name: str, interval: timedelta) -> None:
        self.name = name
        self.track = Track(interval)
        self.screen = Screen()
        self.news = News()
        self.monitored = True
        """Whether positions:monitoring may be there, also where somebody else has closed the position."""
        self._interval = interval
        self._raw = b""
        self._held: Position | None = None

    def recall(self, bars: list[tuple[Bar, Decimal | None]]) -> None:
        """Take the bars of an earlier feed."""
        for bar, ratio in bars:
            self.track.add(bar, ratio)
            if bar.start > bars[-1][0].start - FRESH:
                self.screen.add(bar.end(self._interval), entries(self.track))

    def take(self, bar: Bar, ratio: Decimal | None) -> tuple[Decimal | None, list[Signal]]:
        """Take a new bar: the ratio that was applied to earlier prices, and the entry signals that the bar gives."""
        applied = self.track.add(bar, ratio)
        found = entries(self.track)
        self.screen.add(bar.end(self._interval), found)
        return applied, found

    @property
    def raw(self) -> bytes:
        """The position as it stands in the server; empty for none."""
        return self._raw

    @property
    def held(self) -> Position | None:
        """The position; None where there is none, or none that can be used."""
        return self._held

    def hold(self, raw: bytes, position: Position | None = None) -> None:
        """Take the position as it stands now; `position` is what the bytes say, where that is known."""
        self._raw = raw
        self._held = _read(raw) if position is None and raw else position


def _read(raw: bytes) -> Position | None:
    try:
        return Position.model_validate(canonical.loads(raw))
    except (ValueError, ValidationError):
        return None


def wire_position(position: Position) -> bytes:
    """positions:active:{symbol} as it is written."""
    times = {name: clock.iso_of(getattr(position, name)) for name in ("entry_time", "last_update")}
    return canonical.wire(position.model_dump() | times)
