"""What a calendar says about one date at an exchange."""

from datetime import date, datetime
from typing import NamedTuple, Protocol


class Session(NamedTuple):
    """The trading hours of one date, in UTC."""

    opens: datetime
    """When trading begins."""
    closes: datetime
    """When it ends."""
    lunch: tuple[datetime, datetime] | None = None
    """When the lunch break begins and ends; None without one."""

    def status(self, at: datetime) -> str:
        """pre_market, open, lunch_break or after_hours."""
        if at < self.opens:
            return "pre_market"
        if at >= self.closes:
            return "after_hours"
        return "lunch_break" if self.lunch is not None and self.lunch[0] <= at < self.lunch[1] else "open"


class Calendar(Protocol):
    """The calendar of one exchange."""

    def date_at(self, at: datetime) -> date:
        """The exchange's own date at a time. A session that begins the evening before has the date of its end."""
        ...

    def session(self, day: date) -> Session | None:
        """The trading hours of a date; None if the exchange stays closed."""
        ...
