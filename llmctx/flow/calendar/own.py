"""The calendars of the core: hours from the tables below, holidays and half days from the `holidays` library."""

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

import holidays

from llmctx.flow.calendar.session import Session

_SATURDAY = 5
_DAY = timedelta(days=1)


class _Hours(NamedTuple):
    zone: ZoneInfo
    opens: time
    closes: time
    half_day_closes: time
    is_last_day_half: bool = False
    """Whether the last weekday before 31 December, a holiday, is a half day; `holidays` does not know it as one."""


HOURS = {
    "XNYS": _Hours(ZoneInfo("America/New_York"), time(9, 30), time(16), time(13)),
    "XNAS": _Hours(ZoneInfo("America/New_York"), time(9, 30), time(16), time(13)),
    "XLON": _Hours(ZoneInfo("Europe/London"), time(8), time(16, 30), time(12, 30)),
    "XETR": _Hours(ZoneInfo("Europe/Berlin"), time(9), time(17, 30), time(14), is_last_day_half=True),
    "XPAR": _Hours(ZoneInfo("Europe/Paris"), time(9), time(17, 30), time(14, 5)),
}
"""Regular hours by ISO 10383 code, in the exchange's own time."""


class TableCalendar:
    """An exchange with regular hours in HOURS."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._hours = HOURS[name]
        self._of_year = lru_cache(maxsize=8)(self._days_of)
        self.first_year: int = holidays.financial_holidays(name, years=[]).start_year
        """The first year whose holidays are known."""

    def date_at(self, at: datetime) -> date:
        """See Calendar."""
        return at.astimezone(self._hours.zone).date()

    def session(self, day: date) -> Session | None:
        """See Calendar."""
        closed, half_days = self._of_year(day.year)
        if day.weekday() >= _SATURDAY or day in closed:
            return None
        zone, opens, closes, half_day_closes, is_last_day_half = self._hours
        is_half = day in half_days or (is_last_day_half and day == _last_weekday_before_31_december(day.year))
        end = half_day_closes if is_half else closes
        return Session(_at(day, opens, zone), _at(day, end, zone))

    def _days_of(self, year: int) -> tuple[frozenset[date], frozenset[date]]:
        """The holidays and the half days of a year."""
        known = holidays.financial_holidays(self._name, years=[year])
        if "half_day" not in known.supported_categories:
            return frozenset(known), frozenset()
        half_days = holidays.financial_holidays(self._name, years=[year], categories=("half_day",))
        return frozenset(known), frozenset(half_days)


class AlwaysOpen:
    """A market that never closes; its days are those of UTC."""

    def date_at(self, at: datetime) -> date:
        """See Calendar."""
        return at.astimezone(UTC).date()

    def session(self, day: date) -> Session | None:
        """See Calendar."""
        begins = datetime.combine(day, time(), UTC)
        return Session(begins, begins + _DAY)


class CurrencyDays:
    """The currency market: its days end at five in New York, from Sunday evening to Friday."""

    _ZONE = ZoneInfo("America/New_York")
    _ENDS = time(17)

    def date_at(self, at: datetime) -> date:
        """See Calendar."""
        local = at.astimezone(self._ZONE)
        return local.date() + (_DAY if local.time() >= self._ENDS else timedelta())

    def session(self, day: date) -> Session | None:
        """See Calendar."""
        if day.weekday() >= _SATURDAY:
            return None
        return Session(_at(day - _DAY, self._ENDS, self._ZONE), _at(day, self._ENDS, self._ZONE))


def _last_weekday_before_31_december(year: int) -> date:
    day = date(year, 12, 30)
    return day - _DAY * max(0, day.weekday() - 4)


def _at(day: date, local: time, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, local, zone).astimezone(UTC)
