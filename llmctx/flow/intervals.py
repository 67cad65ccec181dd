"""The length of a file's bars, inferred from their starts.

A bar is known at its end, so a length that is too short would tell the model a close hours before it happened. The
inferred length is therefore never shorter than the starts allow: bars of one symbol do not overlap, so the smallest
step between two of them is at least their length.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, time, timedelta
from itertools import pairwise

from llmctx.errors import FeedError
from llmctx.flow.bars import Bar

_MINUTES = (1, 2, 3, 5, 10, 15, 30, 60, 120, 240, 360, 480, 720)
_STANDARD = (
    *(timedelta(seconds=seconds) for seconds in (1, 5, 10, 15, 30)),
    *(timedelta(minutes=minutes) for minutes in _MINUTES),
)
_DAY, _SHORT_DAY = timedelta(days=1), timedelta(hours=23)
"""A day that begins at local midnight has 23 hours once a year."""
_WEEK, _SHORT_MONTH, _MONTH = timedelta(days=7), timedelta(days=28), timedelta(days=31)
_MIN_STEPS = 9
"""From this many steps on, it is no accident if all are multiples of a longer interval."""


def infer_interval(bars: Iterable[Bar]) -> timedelta | None:
    """The length of bars, None without bars; for several symbols the shortest that their starts show."""
    return min((_inferred(starts) for starts in _starts_by_symbol(bars).values()), default=None)


def check_interval(bars: Iterable[Bar], interval: timedelta, where: str) -> None:
    """Check that bars can have this length.

    Raises FeedError if bars of a symbol would overlap, or are plainly longer.
    """
    for symbol, starts in _starts_by_symbol(bars).items():
        steps = _steps(starts)
        if not steps:
            continue
        seen = _inferred(starts)
        is_longer = seen > interval and (seen >= _DAY or (len(steps) >= _MIN_STEPS and _divides(seen, steps)))
        if (min(steps) < interval and seen < interval) or is_longer:
            raise FeedError(
                f"{where}: the bars of {symbol} begin {length_text(min(steps))} apart, so they are not of "
                f"{length_text(interval)}.",
                "Leave --interval-s out to take what each file shows; feed symbols with other bars from a file of "
                "their own.",
            )


def _inferred(starts: Sequence[datetime]) -> timedelta:
    """The longest usual interval that the starts of one symbol's bars allow."""
    steps = _steps(starts)
    if not steps:  # one bar: at midnight it counts as a daily bar, which is known later than any shorter one
        return _DAY if starts[0].time() == time() else timedelta(minutes=1)
    step = min(steps)
    if step >= _SHORT_MONTH:
        return _MONTH
    if step >= _SHORT_DAY:
        return _WEEK if step >= _WEEK else _DAY
    return max((usual for usual in _STANDARD if usual <= step and step % usual == timedelta(0)), default=step)


def _steps(starts: Sequence[datetime]) -> list[timedelta]:
    ordered = sorted(set(starts))
    return [after - before for before, after in pairwise(ordered)]


def _divides(interval: timedelta, steps: Iterable[timedelta]) -> bool:
    return all(step % interval == timedelta(0) for step in steps)


def _starts_by_symbol(bars: Iterable[Bar]) -> Mapping[str, list[datetime]]:
    found: dict[str, list[datetime]] = {}
    for bar in bars:
        found.setdefault(bar.symbol, []).append(bar.start)
    return found


def length_text(length: timedelta) -> str:
    """A length in the largest unit that fits: 90 s, 5 min, 1 d."""
    seconds = int(length.total_seconds())
    size, unit = next((pair for pair in ((86_400, "d"), (3_600, "h"), (60, "min")) if not seconds % pair[0]), (1, "s"))
    return f"{seconds // size} {unit}"
