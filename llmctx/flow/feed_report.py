"""What a feed reports: counts of what it did, and a log message for each kind of problem."""

import logging
from collections import OrderedDict
from dataclasses import asdict, dataclass, field
from datetime import date
from typing import Any

from llmctx import clock
from llmctx.errors import LlmctxError
from llmctx.flow.bars import Bar
from llmctx.flow.compose import FedBar
from llmctx.flow.news import Headline

_log = logging.getLogger(__name__)

RECENT_S = 20.0
"""How long writes are remembered. An append-only file synced every second loses at most its last two seconds."""
_MAX_ROWS_LOGGED = 5
_AWAY_LOG_INTERVAL_S = 10.0


@dataclass
class FeedReport:
    """What a feed did."""

    run: str
    """The run's id, carried by every tick id."""
    bars: int = 0
    """Bars written."""
    headlines: int = 0
    """Headlines written."""
    ticks: int = 0
    """Ticks raised."""
    opened: int = 0
    """Positions opened."""
    closed: int = 0
    """Positions closed."""
    fills: int = 0
    """Fills of the paper broker."""
    refused: int = 0
    """Openings and additions that the paper broker refused because not even one lot was within the limits."""
    adjusted: list[str] = field(default_factory=list)
    """Symbols whose position was rewritten for a split."""
    already_fed: int = 0
    """Skipped: bars no newer than those in the bars stream, and headlines already known or too old to count."""
    corrected: int = 0
    """Bars that arrived again with other values and replaced the newest one."""
    bad_rows: int = 0
    """Skipped: malformed rows, and bars out of order."""
    suspected: int = 0
    """Bars at which a corporate action was suspected."""
    first: str | None = None
    """When the first written bar began."""
    last: str | None = None
    """When the last written bar ended."""
    symbols: list[str] = field(default_factory=list)
    """The symbols fed."""

    def as_dict(self) -> dict[str, Any]:
        """The report as a JSON object."""
        return asdict(self)


class RecentWrites:
    """The bars and headlines of the last seconds, in writing order; a server that lost them gets them again."""

    def __init__(self) -> None:
        self._written_s: OrderedDict[Bar | Headline, float] = OrderedDict()

    def add(self, item: Bar | Headline) -> bool:
        """Remember a written item; False if it is remembered already, so that it is not counted twice."""
        now_s = clock.monotonic_s()
        while self._written_s and next(iter(self._written_s.values())) < now_s - RECENT_S:
            self._written_s.popitem(last=False)
        if item in self._written_s:
            return False
        self._written_s[item] = now_s
        return True

    def replace(self, old: Bar, new: Bar) -> None:
        """Remember a corrected bar in the place of the one before."""
        if old in self._written_s:
            items = ((new if item == old else item, at_s) for item, at_s in self._written_s.items())
            self._written_s = OrderedDict(items)
        else:
            self.add(new)

    def __contains__(self, item: Bar | Headline) -> bool:
        return item in self._written_s

    def items(self) -> list[Bar | Headline]:
        """All remembered items, oldest first."""
        return list(self._written_s)

    def newest_bars(self) -> list[Bar]:
        """The newest bar of each symbol."""
        newest: dict[str, Bar] = {}
        for item in self.items():
            if isinstance(item, Bar) and (item.symbol not in newest or item.start > newest[item.symbol].start):
                newest[item.symbol] = item
        return list(newest.values())


class FeedReporter:
    """Counts what a feed does and logs what goes wrong."""

    def __init__(self, run: str) -> None:
        self.report = FeedReport(run)
        """The counts so far."""
        self._logged: set[str] = set()
        self._away_logged_s = float("-inf")

    def warn_once(self, message: str, *, about: str) -> None:
        """Log a warning, once for each subject."""
        if about not in self._logged:
            self._logged.add(about)
            _log.warning(message)

    def skip_row(self, why: str) -> None:
        """Count a skipped row, and log the first few."""
        self.report.bad_rows += 1
        if self.report.bad_rows <= _MAX_ROWS_LOGGED:
            _log.warning(why)
        elif self.report.bad_rows == _MAX_ROWS_LOGGED + 1:
            _log.warning("further skipped rows are not logged; the summary counts them")

    def already_fed(self, item: Bar | Headline, recent: RecentWrites) -> None:
        """Count an item the server had already, unless this feed wrote it and is sending it again."""
        if item not in recent:
            self.report.already_fed += 1

    def corrected(self, bar: Bar, fed: FedBar) -> None:
        """Count a bar that arrived again with other values, and log the first one."""
        self.report.corrected += 1
        if fed.tick is not None:
            self.report.ticks += 1
        at = clock.iso_of(bar.start)
        self.warn_once(
            f"{bar.symbol} at {at}: came again with other values and took the place of the bar fed before; "
            "the summary counts such bars. If your source sends bars that are still forming, feed with --live",
            about="corrected",
        )

    def server_away(self, error: LlmctxError) -> None:
        """Log from time to time that the server does not answer."""
        if clock.monotonic_s() - self._away_logged_s > _AWAY_LOG_INTERVAL_S:
            self._away_logged_s = clock.monotonic_s()
            _log.warning(f"Redis is away ({error.what}); retrying")

    def writes_lost(self) -> None:
        """Log that the server came back without its last seconds."""
        _log.warning("Redis has lost the most recent writes; sending them again")

    def adjusted(self, symbol: str) -> None:
        """Count a position that was adjusted for a split, and its tick."""
        self.report.adjusted.append(symbol)
        self.report.ticks += 1

    def out_of_order(self, bar: Bar) -> None:
        """Count a bar that came after a later one."""
        at = clock.iso_of(bar.start)
        self.skip_row(f"{bar.symbol} at {at}: earlier than the bar before it; sort the file by time")

    def exchange_closed(self, exchange: str, day: date) -> None:
        """Log that there are bars for a day on which the exchange is closed."""
        self.warn_once(
            f"{exchange} is closed on {day}, so market_status is not open and nothing is traded; name the exchange of "
            "these bars, or use `--exchange always`",
            about="calendar",
        )

    def live_clock(self) -> None:
        """Log that the server is in live use."""
        self.warn_once(
            "this Redis is in live use: its system:state follows the server's clock. Recorded bars set it to "
            "their own time, and live data of other symbols will then lie in the future; feed recorded bars into a "
            "Redis of their own",
            about="clock",
        )

    def written(self, fed: FedBar) -> None:
        """Count a written bar."""
        report, step, bar = self.report, fed.step, fed.bar
        report.bars += 1
        report.fills += len(step.fills)
        report.refused += len(step.refused)
        for why in step.refused:
            self.warn_once(why, about=f"refused {bar.symbol}")
        if fed.tick is not None:
            report.ticks += 1
        if step.opened or (step.closed is not None and not fed.raw_position_before):
            report.opened += 1
        if step.closed is not None:
            report.closed += 1
        if step.cause == "position_adjusted":
            report.adjusted.append(bar.symbol)
        if step.cause == "corporate_action_suspected":
            report.suspected += 1
            self.warn_once(
                f"{bar.symbol} at {clock.iso_of(bar.start)}: the price jumped overnight; a corporate action is "
                f"suspected. Its position is not marked until it is rewritten, or until you feed with --adjust "
                f"{bar.symbol}=RATIO ({bar.symbol}=1 if the price did move)",
                about=f"{bar.symbol} jumps",
            )
        report.first = report.first or clock.iso_of(bar.start)
        report.last = clock.iso_of(fed.end)
