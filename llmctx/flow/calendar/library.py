"""Calendars from `exchange_calendars`: hours, half days and lunch breaks of some sixty exchanges and futures markets.

It needs pandas, so it is an extra, and imported only for an exchange that the core does not know.
"""

import logging
import warnings
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from typing import Any, NamedTuple

from llmctx.errors import FeedError
from llmctx.flow.calendar.session import Session

_log = logging.getLogger(__name__)

INSTALL = "pip install 'llmctx[calendars]'"
"""What to do without the library."""
_SAME_DAYS = {"XNSE": "XBOM"}
"""An exchange that the library does not have -> one with the same hours and holidays."""
_DAILY_PAUSES = dict.fromkeys(("CMES", "us_futures"), timedelta(hours=1))
"""How long before the next session the trade pauses every day, which the library does not know."""
_YEARS_AT_ONCE = 4
_ANY_DAYS = date(2024, 1, 1), date(2024, 1, 31)
"""Some days that every calendar knows."""
_SATURDAY = 5


class _Years(NamedTuple):
    """Some years of a calendar."""

    sessions: dict[date, Session]
    """The days on which the exchange is open."""
    known_from: date
    """The first date that the library knows."""
    known_until: date
    """The last one."""


class LibraryCalendar:
    """One of the library's calendars."""

    def __init__(self, name: str) -> None:
        """Raises FeedError if the library is not installed, or does not know the exchange."""
        library = _library(name)
        self._name = name
        self._known_as = _SAME_DAYS.get(name, name)
        if self._known_as not in library.get_calendar_names():
            known = ", ".join(sorted(library.get_calendar_names(include_aliases=False)))
            raise FeedError(f"Unknown exchange {name!r}.", f"Name one of {known}.")
        self._rules = _calendar(self._known_as, _ANY_DAYS)
        self._zone: tzinfo = self._rules.tz
        opens_at: time = self._rules.open_times[-1][1]
        begins_before = self._rules.open_offset < 0
        self._ahead = timedelta(hours=24 - opens_at.hour, minutes=-opens_at.minute) if begins_before else timedelta()

    def date_at(self, at: datetime) -> date:
        """See Calendar."""
        return (at.astimezone(self._zone).replace(tzinfo=None) + self._ahead).date()

    def session(self, day: date) -> Session | None:
        """See Calendar."""
        years = _read(self._known_as, day.year - day.year % _YEARS_AT_ONCE)
        if years.known_from <= day <= years.known_until:
            return self._until_pause(years.sessions.get(day))
        _warn_unknown(self._name, years.known_from, years.known_until)
        return self._as_any_weekday(day)

    def _as_any_weekday(self, day: date) -> Session | None:
        """The hours of a date whose holidays are unknown: those of any weekday."""
        if day.weekday() >= _SATURDAY:
            return None
        rules = self._rules
        opens, closes = (
            datetime.combine(day + timedelta(days=offset), times[-1][1], self._zone).astimezone(UTC)
            for offset, times in ((rules.open_offset, rules.open_times), (rules.close_offset, rules.close_times))
        )
        return self._until_pause(Session(opens, closes))

    def _until_pause(self, session: Session | None) -> Session | None:
        """The session without the daily pause at its end; an early close comes before it."""
        pause = _DAILY_PAUSES.get(self._known_as)
        if session is None or pause is None:
            return session
        ends_as_usual = session.closes.astimezone(self._zone).time() == self._rules.close_times[-1][1]
        return session._replace(closes=session.closes - pause) if ends_as_usual else session


@lru_cache(maxsize=64)
def _read(name: str, first_year: int) -> _Years:
    """The part of a calendar's years that the library knows."""
    rules = _calendar(name, _ANY_DAYS)
    first, last = date(first_year, 1, 1), date(first_year + _YEARS_AT_ONCE - 1, 12, 31)
    earliest, latest = rules.bound_min(), rules.bound_max()
    known_from = first if earliest is None else max(first, earliest.date())
    known_until = last if latest is None else min(last, latest.date())
    if known_from >= known_until:
        return _Years({}, known_from, known_until)
    schedule = _calendar(name, (known_from, known_until)).schedule
    rows = schedule[["open", "close", "break_start", "break_end"]].itertuples()
    return _Years({row[0].date(): _session(*row[1:]) for row in rows}, known_from, known_until)


def _session(opens: Any, closes: Any, break_begins: Any, break_ends: Any) -> Session:
    has_break = break_begins == break_begins  # noqa: PLR0124  a missing time is not equal to itself
    lunch = (break_begins.to_pydatetime(), break_ends.to_pydatetime()) if has_break else None
    return Session(opens.to_pydatetime(), closes.to_pydatetime(), lunch)


def _library(name: str) -> Any:
    try:
        import exchange_calendars  # noqa: PLC0415  an optional extra, and slow
    except ImportError as error:
        raise FeedError(f"The core does not know the hours of the exchange {name!r}.", f"Run {INSTALL}.") from error
    return exchange_calendars


def _calendar(name: str, days: tuple[date, date]) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pandas warnings inside the library are not ours to fix
        return _library(name).get_calendar(name, start=days[0].isoformat(), end=days[1].isoformat())


@lru_cache(maxsize=256)
def _warn_unknown(name: str, known_from: date, known_until: date) -> None:
    _log.warning(
        f"exchange_calendars knows no holidays of {name} outside {known_from} to {known_until}: every weekday is taken "
        "for a trading day there; a newer release may know more"
    )
