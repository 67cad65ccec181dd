"""An exchange: its own dates, its sessions, and whether it is open."""

import logging
from datetime import date, datetime, time, timedelta
from functools import lru_cache

from llmctx.errors import FeedError
from llmctx.flow.calendar.library import INSTALL, LibraryCalendar
from llmctx.flow.calendar.own import HOURS, AlwaysOpen, CurrencyDays, TableCalendar
from llmctx.flow.calendar.session import Calendar, Session

_log = logging.getLogger(__name__)

ALWAYS = "always"
"""The name of a market that never closes."""
CURRENCIES = "FX"
"""The name of the currency market, whose days end at five in New York."""
NAMES = (*HOURS, CURRENCIES, ALWAYS)
"""The exchanges that the core knows; the extra `calendars` knows sixty others."""
_DAY = timedelta(days=1)


class Exchange:
    """One exchange's calendar."""

    def __init__(self, name: str = "XNYS") -> None:
        """Raises FeedError if the exchange is unknown."""
        self.name = name
        self._calendar = _calendar_of(name)
        self.session = lru_cache(maxsize=64)(self._session_of)
        """The trading hours of a date, UTC; None if it stays closed."""
        self.date_at = lru_cache(maxsize=64)(self._calendar.date_at)  # all symbols share a moment
        """The exchange's own date at a time."""

    def date_of_bar(self, start: datetime, interval: timedelta) -> date:
        """The exchange's own date of a bar. Bars of a day begin at midnight, in UTC or where the exchange is."""
        if interval < _DAY or start.time() != time():
            return self.date_at(start)
        return start.date()

    def status(self, at: datetime) -> str:
        """pre_market, open, lunch_break, after_hours, or closed (for the whole day)."""
        session = self.session(self.date_at(at))
        return "closed" if session is None else session.status(at)

    def _session_of(self, day: date) -> Session | None:
        calendar = self._calendar
        if isinstance(calendar, TableCalendar) and day.year < calendar.first_year:
            calendar = _for_earlier_years(self.name, calendar)
        return calendar.session(day)


def _calendar_of(name: str) -> Calendar:
    if name in HOURS:
        return TableCalendar(name)
    if name in (ALWAYS, CURRENCIES):
        return AlwaysOpen() if name == ALWAYS else CurrencyDays()
    try:
        return LibraryCalendar(name)
    except FeedError as error:
        raise FeedError(error.what, f"{error.do} Without it: {', '.join(NAMES)}.") from error


@lru_cache(maxsize=8)
def _for_earlier_years(name: str, calendar: TableCalendar) -> Calendar:
    """The calendar for years whose holidays the core does not know: the library's if it is installed."""
    try:
        return LibraryCalendar(name)
    except FeedError:
        _log.warning(
            f"The core knows no holidays of {name} before {calendar.first_year}, so every weekday is taken for a "
            f"trading day there; {INSTALL} knows more"
        )
        return calendar
