"""The one place that reads time, and the two forms in which it is written: milliseconds and ISO 8601."""

import time
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def now_ms() -> int:
    """The wall clock of the machine, in milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def monotonic_s() -> float:
    """Seconds on a clock that never jumps; only differences mean anything."""
    return time.perf_counter()


def elapsed_ms(since_s: float) -> float:
    """Milliseconds since `since_s`, an earlier `monotonic_s()`."""
    return (time.perf_counter() - since_s) * 1000


def to_ms(moment: datetime) -> int:
    """Whole milliseconds since 1970 of an aware datetime, without the rounding of a float."""
    return (moment - _EPOCH) // _MILLISECOND


def from_ms(ms: int) -> datetime:
    """The UTC datetime of milliseconds since 1970."""
    return _EPOCH + timedelta(milliseconds=ms)


def iso(ms: int) -> str:
    """Milliseconds since 1970 as the schema writes them: 2025-05-09T08:15:30.123Z."""
    return from_ms(ms).strftime("%Y-%m-%dT%H:%M:%S.") + f"{ms % 1000:03d}Z"


def parse_iso(text: str) -> datetime:
    """The moment that an ISO 8601 text with a zone names, as UTC.

    Raises ValueError where the text is no ISO 8601 or has no zone: a zone is never guessed.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("the time has no zone; write UTC with a trailing Z")
    return moment.astimezone(UTC)
