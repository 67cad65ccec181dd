"""When an exchange is open: holidays and half days from the `holidays` library, hours from the table below."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

import holidays

from llmctx.errors import FeedError

ALWAYS = "always"
"""The name of a market that never closes."""


class _Hours(NamedTuple):
    zone: ZoneInfo
    opens: time
    closes: time
    half_day_closes: time
    closes_early: Mapping[tuple[int, int], time] = {}
    """Month and day -> when it closes on days that the library does not know as half days."""


_HOURS = {
    "XNYS": _Hours(ZoneInfo("America/New_York"), time(9, 30), time(16), time(13)),
    "XNAS": _Hours(ZoneInfo("America/New_York"), time(9, 30), time(16), time(13)),
    "XLON": _Hours(ZoneInfo("Europe/London"), time(8), time(16, 30), time(12, 30)),
    "XETR": _Hours(ZoneInfo("Europe/Berlin"), time(9), time(17, 30), time(14), {(12, 30): time(14)}),
    "XPAR": _Hours(ZoneInfo("Europe/Paris"), time(9), time(17, 30), time(14, 5)),
}
"""Regular hours by ISO 10383 code, in the exchange's own time."""
NAMES = (*_HOURS, ALWAYS)
"""The supported exchanges."""
_SATURDAY = 5


class Exchange:
    """One exchange's calendar."""

    def __init__(self, name: str = "XNYS") -> None:
        """Raises FeedError if the name is not in NAMES."""
        if name not in NAMES:
            raise FeedError(f"Unknown exchange {name!r}.", f"Name one of {', '.join(NAMES)}.")
        self.name = name
        self._times = _HOURS.get(name)
        self.hours = lru_cache(maxsize=16)(self._hours_of)
        """When it opens and closes on a date, UTC; None if it stays closed."""

    def date_at(self, at: datetime) -> date:
        """The exchange's own date at a time."""
        return at.astimezone(UTC if self._times is None else self._times.zone).date()

    def status(self, at: datetime) -> str:
        """open, pre_market, after_hours, or closed (for the whole day)."""
        if self._times is None:
            return "open"
        hours = self.hours(self.date_at(at))
        if hours is None:
            return "closed"
        opens, closes = hours
        if at < opens:
            return "pre_market"
        return "open" if at < closes else "after_hours"

    def _hours_of(self, day: date) -> tuple[datetime, datetime] | None:
        if self._times is None:
            begins = datetime.combine(day, time(), UTC)
            return begins, begins + timedelta(days=1)
        if day.weekday() >= _SATURDAY or _is_on_calendar(self.name, day, "public"):
            return None
        zone, opens, closes, half_day_closes, early = self._times
        end = half_day_closes if _is_on_calendar(self.name, day, "half_day") else closes
        end = early.get((day.month, day.day), end)
        return datetime.combine(day, opens, zone).astimezone(UTC), datetime.combine(day, end, zone).astimezone(UTC)


def _is_on_calendar(name: str, day: date, category: str) -> bool:
    calendar = holidays.financial_holidays(name, years=[day.year])
    if category not in calendar.supported_categories:
        return False
    return day in holidays.financial_holidays(name, years=[day.year], categories=(category,))
