"""The track of one symbol: session, indicators and levels from its bars so far, new ones and those of the stream."""

from collections import deque
from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal

from llmctx import clock
from llmctx.context.price_step import PERSONAL, SESSION_MS, USUAL, broken_rule, factor_of
from llmctx.flow.bars import PERCENT_STEP, Bar, rounded
from llmctx.flow.indicators import MEMORY, IndicatorSet, SlowMacd
from llmctx.flow.levels import Levels
from llmctx.flow.timeframes import NO_FRAMES, FrameRules, Timeframes

WINDOW = 20
"""How many bars before the newest one define a breakout and the usual volume."""
_FIVE_MINUTES = timedelta(minutes=5)
NO_SPLIT = Decimal(1)
_LARGEST_MOVE = 1.4
"""The largest overnight move, as a factor, that is left when a given ratio explains a step."""


class Track:
    """One symbol's session and indicators."""

    def __init__(
        self, interval: timedelta, day_of: Callable[[datetime], date] = datetime.date, frames: FrameRules = NO_FRAMES
    ) -> None:
        """`day_of` gives the session that a time belongs to: the exchange's own date."""
        self._interval = interval
        self._day_of = day_of
        self._frame_rules = frames
        self._closes: deque[tuple[datetime, Decimal]] = deque(maxlen=5 * MEMORY)
        self.window: deque[Bar] = deque(maxlen=WINDOW)
        """The bars before the newest one."""
        self.last: Bar | None = None
        """The newest bar."""
        self.session: dict[str, Decimal] = {}
        """The `price` object of stocks:price: the session so far, with what is traded before and after hours."""
        self.in_fractions = False
        """Whether a bar's volume was no whole number, as where coins are traded."""
        self.previous_close: Decimal | None = None
        """The last close of the previous session; None on a symbol's first day, and after a jump without a ratio."""
        self._reset()

    def _reset(self) -> None:
        self.indicators = IndicatorSet()
        self.macd_5m = SlowMacd(_FIVE_MINUTES, self._interval)
        self.timeframes = Timeframes(self._frame_rules, self._interval, self._day_of)
        self.levels = Levels()
        self.before: dict[str, Decimal | None] = {}
        self.now: dict[str, Decimal | None] = {}

    def add(self, bar: Bar, ratio: Decimal | None = None) -> Decimal | None:
        """Add the next bar and return the ratio by which earlier prices were adjusted, or None.

        After a split earlier prices are not comparable with later ones: with a ratio (new shares for each old one)
        they are adjusted; if a split is only suspected, the track starts over.
        """
        last = self.last
        new_session = last is None or self._day_of(last.start) != self._day_of(bar.start)
        if last is not None:
            self.window.append(last)
            if new_session:
                self.previous_close = last.close
        applied = None
        if last is not None:
            split = split_ratio(last.close, last.end(self._interval), bar.open, bar.start, ratio)
            if split != NO_SPLIT:
                applied = split
                self._rebase(split)
        self._closes.append((bar.start, bar.close))
        self._update_indicators(bar.start, bar.close)
        self.levels.add(bar.high, bar.low)
        self._add_to_session(bar, new=new_session)
        self.in_fractions = self.in_fractions or bar.volume % 1 != 0
        self.last = bar
        return applied

    def _rebase(self, ratio: Decimal | None) -> None:
        closes, levels, window = list(self._closes), self.levels, list(self.window)
        self._closes.clear()
        self.window.clear()
        self._reset()
        if ratio is None:
            self.previous_close = None
            return
        if self.previous_close is not None:
            self.previous_close /= ratio
        self.window.extend(_adjusted(bar, ratio) for bar in window)
        levels.adjust(ratio)
        self.levels = levels
        self._closes.extend((start, close / ratio) for start, close in closes)
        for start, close in self._closes:
            self._update_indicators(start, close)

    def _update_indicators(self, start: datetime, close: Decimal) -> None:
        self.indicators.add(close)
        self.macd_5m.add(start, close)
        self.timeframes.add(start, close)
        self.before, self.now = self.now, self.indicators.values()

    def _add_to_session(self, bar: Bar, *, new: bool) -> None:
        so_far = self.session
        self.session = {
            "last": bar.close,
            "open": bar.open if new else so_far["open"],
            "high": bar.high if new else max(so_far["high"], bar.high),
            "low": bar.low if new else min(so_far["low"], bar.low),
            "volume": bar.volume if new else so_far["volume"] + bar.volume,
        }

    @property
    def day(self) -> date:
        """The session of the newest bar."""
        assert self.last is not None
        return self._day_of(self.last.start)

    @property
    def known_at(self) -> datetime | None:
        """When the newest bar ended; None before the first bar."""
        return None if self.last is None else self.last.end(self._interval)

    @property
    def change_pct(self) -> Decimal:
        """The day's change in percent, four decimals: from the previous session's close, or else from the open."""
        base = self.previous_close or self.session["open"]
        return rounded((self.session["last"] / base - 1) * 100, PERCENT_STEP)

    @property
    def relative_volume(self) -> Decimal | None:
        """The newest bar's volume as a multiple of the window's mean; None without a full window, or a mean of 0."""
        if self.last is None or len(self.window) < WINDOW:
            return None
        usual = sum((bar.volume for bar in self.window), Decimal(0)) / WINDOW
        return self.last.volume / usual if usual else None


def _adjusted(bar: Bar, ratio: Decimal) -> Bar:
    """A bar in shares after a split."""
    return bar._replace(
        open=bar.open / ratio,
        high=bar.high / ratio,
        low=bar.low / ratio,
        close=bar.close / ratio,
        volume=bar.volume * ratio,
    )


def split_ratio(
    before: Decimal, before_at: datetime, now: Decimal, now_at: datetime, told: Decimal | None
) -> Decimal | None:
    """New shares for each old one between two prices: 1 without a split, `told` if that explains the step, None if a
    split is suspected and not explained.

    No split is suspected within a session. `told` 1 says that the price moved by itself.
    """
    if clock.to_ms(now_at) - clock.to_ms(before_at) < SESSION_MS or told == NO_SPLIT:
        return NO_SPLIT
    if factor_of(before, now) <= USUAL:
        return NO_SPLIT
    if told is not None and factor_of(before / told, now) <= _LARGEST_MOVE:
        return told
    return None if broken_rule(before, now, SESSION_MS, None) in PERSONAL else NO_SPLIT
