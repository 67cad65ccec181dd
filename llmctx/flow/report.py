"""What a feed tells while it goes on: its summary, and troubles, each of them once."""

import logging
from datetime import date

from llmctx import clock
from llmctx.errors import LlmctxError
from llmctx.flow.bars import Bar
from llmctx.flow.compose import Taken
from llmctx.flow.news import Headline
from llmctx.flow.recent import Recent
from llmctx.flow.summary import Summary

_log = logging.getLogger(__name__)

_TOLD = 5
_TELL_EVERY_S = 10.0


class Report:
    """Counts what was done and tells what went wrong."""

    def __init__(self, run: str) -> None:
        self.summary = Summary(run)
        """What was done so far."""
        self._told: set[str] = set()
        self._away_s = float("-inf")

    def trouble(self, what: str, *, about: str) -> None:
        """Tell a trouble, once for whatever it is about."""
        if about not in self._told:
            self._told.add(about)
            _log.warning(what)

    def leave_out(self, why: str) -> None:
        """Count a row that is left out; the first few are told."""
        self.summary.bad_rows += 1
        if self.summary.bad_rows <= _TOLD:
            _log.warning(why)
        elif self.summary.bad_rows == _TOLD + 1:
            _log.warning("further rows are left out without being told; the summary counts them")

    def already_fed(self, item: Bar | Headline, recent: Recent) -> None:
        """Count what was there already, unless it is told again to a server that came back."""
        self.summary.already_fed += not recent.knows(item)

    def away(self, error: LlmctxError) -> None:
        """Tell that the server does not answer, now and then."""
        if clock.monotonic_s() - self._away_s > _TELL_EVERY_S:
            self._away_s = clock.monotonic_s()
            _log.warning(f"Redis is away ({error.what}); trying again")

    def forgotten(self) -> None:
        """Tell that the server came back without its last seconds."""
        _log.warning("Redis has lost what it was told last; telling it again")

    def adjusted(self, symbol: str) -> None:
        """Count a position that was adjusted for a split, and its tick."""
        self.summary.adjusted.append(symbol)
        self.summary.ticks += 1

    def out_of_order(self, bar: Bar) -> None:
        """Count a bar that came after later ones."""
        at = clock.iso_of(bar.start)
        self.leave_out(f"{bar.symbol} at {at}: earlier than the bar before it; sort the file by time")

    def closed(self, exchange: str, day: date) -> None:
        """Tell that bars come on a day on which the exchange is closed."""
        self.trouble(
            f"{exchange} is closed on {day}, so market_status is not open and nothing is traded; name the bars' own "
            "exchange, or `--exchange always`",
            about="calendar",
        )

    def live_clock(self) -> None:
        """Tell that the server is in live use."""
        self.trouble(
            "this Redis is in live use: its system:state goes by the server's clock. Recorded bars set it to "
            "their own time, and live data of other symbols will then lie in the future; feed them into a Redis "
            "of their own",
            about="clock",
        )

    def done(self, taken: Taken) -> None:
        """Count a bar that is written."""
        summary, step, bar = self.summary, taken.step, taken.bar
        summary.bars += 1
        summary.ticks += taken.tick is not None
        summary.fills += len(step.fills)
        summary.opened += step.opened or (step.closed is not None and not taken.before)
        summary.closed += step.closed is not None
        if step.cause == "position_adjusted":
            summary.adjusted.append(bar.symbol)
        if step.cause == "corporate_action_suspected":
            summary.suspected += 1
            self.trouble(
                f"{bar.symbol} at {clock.iso_of(bar.start)}: the price jumped overnight; a corporate "
                f"action is suspected and its ticks will be skipped until the position is rewritten, or until "
                f"you feed with --adjust {bar.symbol}=RATIO",
                about=f"{bar.symbol} jumps",
            )
        summary.first = summary.first or clock.iso_of(bar.start)
        summary.last = clock.iso_of(taken.end)
