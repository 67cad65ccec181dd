"""Times as sources of bars write them, converted to UTC."""

import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from llmctx.clock import parse_iso

_MIN_YEAR, _MAX_YEAR = 1970, 9998
_EPOCH = re.compile(r"([0-9]{9,20})(?:\.[0-9]*)?", re.ASCII)
_EPOCH_DIGITS = ((11, 1), (14, 10**3), (17, 10**6), (20, 10**9))
"""Up to so many digits an epoch counts seconds, milliseconds, microseconds, nanoseconds: from 1973 to 5138."""
_DATE_AND_TIME_CHARS = len("2026-03-02T14:30")
_START = datetime(1970, 1, 1, tzinfo=UTC)
_YEAR_FIRST = re.compile(r"([0-9]{4})([-./]?)([0-9]{2})\2([0-9]{2})(?:(?:T| {1,2})([0-9].*))?", re.ASCII)
_DAY_FIRST = re.compile(r"([0-9]{1,2})\.([0-9]{1,2})\.([0-9]{4})(?: +([0-9].*))?", re.ASCII)
_SLASHED = re.compile(r"([0-9]{1,2})/([0-9]{1,2})/([0-9]{4})(?: +([0-9].*))?", re.ASCII)
_NAMED_ZONE = re.compile(r"(.*[0-9]) +(UTC|GMT|[A-Za-z]+(?:/[A-Za-z_]+)+)")


class TimeRules(NamedTuple):
    """How the times of a source are read."""

    zone: ZoneInfo | None = None
    """The zone of times that name none; None refuses them."""
    dates: bool = False
    """Whether a date alone is a time: its midnight. Only for bars that are known to last a day."""
    month_first: bool = False
    """Whether 03/02/2026 is 2 March; otherwise such a date is refused, since it may be 3 February."""


def parse_time(text: str, rules: TimeRules = TimeRules()) -> datetime:  # noqa: B008  frozen
    """Parse when a bar begins into UTC: ISO 8601, a date and a time as publishers write them, or an epoch in s, ms, us
    or ns. A date begins at midnight UTC, or at that of the zone.

    Raises ValueError if the text is malformed, names no zone and none is given, or lies outside the supported years.
    """
    if (epoch := _EPOCH.fullmatch(text)) is not None:
        digits = epoch[1]
        unit = next(unit for length, unit in _EPOCH_DIGITS if len(digits) <= length)
        return parse_moment((_START + timedelta(microseconds=int(digits) * 10**6 // unit)).isoformat())
    if len(text) > _DATE_AND_TIME_CHARS:
        with suppress(ValueError):  # most times need nothing else, and are many
            return parse_moment(text)
    zone = rules.zone
    if (named := _NAMED_ZONE.fullmatch(text)) is not None:
        text, zone = named[1], _zone(named[2]) or zone
    try:
        moment = datetime.fromisoformat(_iso(text, rules))
    except ValueError:
        if _SLASHED.fullmatch(text) is not None and not rules.month_first:
            raise ValueError("does not say whether the day or the month is first: write 2026-03-02") from None
        what = "is not a time: write" if text else "is absent: write"
        raise ValueError(f"{what} ISO 8601 such as 2026-03-02T14:30:00Z, or an epoch") from None
    if rules.dates and moment.tzinfo is None and zone is None and _is_date(text):
        zone = ZoneInfo("UTC")
    if moment.tzinfo is None and zone is None:
        raise ValueError("the time has no zone; write UTC with a trailing Z, or name a file's zone with --zone")
    return parse_moment((moment if moment.tzinfo is not None else moment.replace(tzinfo=zone)).isoformat())


def parse_moment(text: str) -> datetime:
    """Parse an ISO 8601 time with a zone into UTC.

    Raises ValueError if the text is malformed, has no zone, or lies outside the supported years.
    """
    moment = parse_iso(text)
    if not _MIN_YEAR <= moment.year <= _MAX_YEAR:
        raise ValueError(f"the year must lie between {_MIN_YEAR} and {_MAX_YEAR}")
    return moment


def _iso(text: str, rules: TimeRules) -> str:
    """The text with its date, if it has one, written as ISO 8601 does."""
    if (found := _YEAR_FIRST.fullmatch(text)) is not None:
        year, _, month, day, time = found.groups()
    elif (found := _DAY_FIRST.fullmatch(text)) is not None:
        day, month, year, time = found.groups()
    elif rules.month_first and (found := _SLASHED.fullmatch(text)) is not None:
        month, day, year, time = found.groups()
    else:
        return text
    return f"{year}-{month:0>2}-{day:0>2}" + ("" if time is None else f"T{time}")


def _is_date(text: str) -> bool:
    return ":" not in text and " " not in text and "T" not in text


def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None
