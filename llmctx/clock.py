"""Reads the time, and converts between datetimes, milliseconds and ISO 8601. No other module reads a clock."""

import time
from datetime import UTC, datetime, timedelta
from functools import lru_cache

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
MAX_MS = 253_402_300_799_999
"""The last millisecond of the year 9999, the last that can be written."""
_MAX_TENTHS_S, _MINUTE_S, _HOUR_S, _DAY_S = 10, 60, 3600, 86_400


def now_ms() -> int:
    """The machine's wall clock, in milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def monotonic_s() -> float:
    """Seconds on a monotonic clock; only differences are meaningful."""
    return time.perf_counter()


def cpu_s() -> float:
    """CPU seconds used by this process; only differences are meaningful."""
    return time.process_time()


def elapsed_ms(since_s: float) -> float:
    """Milliseconds since `since_s`, an earlier `monotonic_s()`."""
    return (time.perf_counter() - since_s) * 1000


@lru_cache(maxsize=4096)  # many sections share a moment
def to_ms(moment: datetime) -> int:
    """Whole milliseconds since 1970 of an aware datetime, without the rounding of a float."""
    return (moment - _EPOCH) // _MILLISECOND


def from_ms(ms: int) -> datetime:
    """The UTC datetime of milliseconds since 1970."""
    return _EPOCH + timedelta(milliseconds=ms)


@lru_cache(maxsize=4096)  # many sections share a moment
def iso(ms: int) -> str:
    """Milliseconds since 1970 in the schema's form: 2025-05-09T08:15:30.123Z."""
    return from_ms(ms).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


@lru_cache(maxsize=4096)  # many sections share a moment
def iso_of(moment: datetime) -> str:
    """An aware datetime in the schema's form, truncated to milliseconds."""
    return iso(to_ms(moment))


@lru_cache(maxsize=4096)  # many sections share a moment
def parse_iso(text: str) -> datetime:
    """Parse an ISO 8601 text with a zone into UTC.

    Raises ValueError if the text is malformed or has no zone: a zone is never guessed.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("the time has no zone; write UTC with a trailing Z")
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("the time lies outside the years 1 to 9999") from error


def in_words(ms: int) -> str:
    """A readable duration: 0.4 s, 12 s, 5 min 3 s, 2 h 10 min, 561 d."""
    seconds = ms // 1000
    if seconds < _MAX_TENTHS_S:
        return f"{ms / 1000:.1f} s"
    if seconds < _MINUTE_S:
        return f"{seconds} s"
    if seconds < _HOUR_S:
        return f"{seconds // _MINUTE_S} min {seconds % _MINUTE_S} s"
    if seconds < 2 * _DAY_S:
        return f"{seconds // _HOUR_S} h {seconds % _HOUR_S // _MINUTE_S} min"
    return f"{seconds // _DAY_S} d"


def in_short(ms: int) -> str:
    """The same without trailing zeros: 5 min, 2 h."""
    return in_words(ms).removesuffix(" 0 s").removesuffix(" 0 min")


class Stopwatch:
    """Measures how long each step takes, in milliseconds."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._ends: dict[str, float] = {}
        self._last = monotonic_s()

    def lap(self, step: str) -> None:
        """End a step and begin the next."""
        now = monotonic_s()
        self.laps[step] = (now - self._last) * 1000
        self._ends[step] = self._last = now

    def since(self, step: str) -> float:
        """Milliseconds since a step ended."""
        return elapsed_ms(self._ends[step])
