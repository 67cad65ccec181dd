"""Whether the newest price is believed: against the marks before it, and against the position's own levels. Pure."""

from collections.abc import Sequence
from decimal import Decimal

from llmctx import clock
from llmctx.context.finding import Finding
from llmctx.context.marks import LaterBar, Mark, Marks, mark_of
from llmctx.context.price_step import JUMP, PERSONAL, USUAL, broken_rule, explain, factor_of
from llmctx.schema import values

TOO_OLD = "too_old"
_MARK_PRICE_FACTOR = 1.1
FROZEN_AFTER = 5
"""The same price and volume at so many timestamps in a row, while the market is open, mean a frozen feed."""


class PriceCase:
    """A price and everything that it is compared with. Do not modify; it has plain attributes because every tick makes
    one.
    """

    def __init__(
        self,
        price: values.Price,
        position: values.Position,
        marks: Marks,
        as_of_ms: int,
        *,
        max_age_ms: int | None = None,
        band_width: Decimal | None = None,
        bar: LaterBar | None = None,
        market_open: bool = False,
    ) -> None:
        """A price older than `max_age_ms` (None for no limit) is too old even for a stop. `band_width` is that of the
        Bollinger bands, None if they are not fresh and plausible.
        """
        self.position, self.marks = position, marks
        self.as_of_ms, self.max_age_ms = as_of_ms, max_age_ms
        self.band_width, self.bar, self.market_open = band_width, bar, market_open
        self.mark = mark_of(position, price)
        """The mark that this price makes."""
        self.last, self.at_ms = self.mark.last, self.mark.at_ms
        self.marked_ms = clock.to_ms(position.last_update)
        """When the position was marked at its current_price."""
        self.believed, self.doubted = self._of_position(marks.believed), self._of_position(marks.doubted)
        """The last believed price of this position, and the first one that is still in doubt."""
        self.broken = self._broken()
        """The step from the previous price that breaks a rule, or else the step from the position's levels."""

    def _of_position(self, mark: Mark | None) -> Mark | None:
        return mark if mark is not None and mark.is_on(self.position) else None

    def step_from(self, before: Decimal, at_ms: int) -> str | None:
        """The rule that the step from an earlier price breaks."""
        return broken_rule(before, self.last, abs(self.at_ms - at_ms), self.band_width)

    @property
    def continues_doubt(self) -> bool:
        """Whether the price lies where an earlier one was doubted."""
        doubted = self.doubted
        return doubted is not None and self.step_from(doubted.last, doubted.at_ms) is None

    def _broken(self) -> Finding | None:
        believed = self.believed
        if believed is not None:
            before, at_ms, named = believed.last, believed.at_ms, "the believed price"
        elif self.position.current_price is not None:
            before, at_ms, named = self.position.current_price, self.marked_ms, "position.current_price"
        else:
            return self._broken_level()
        # a position marked together with the price is no evidence about the previous price
        rule = self.step_from(before, at_ms) if believed is not None or at_ms < self.at_ms else None
        if rule is None:
            return self._broken_level()
        rule = self._after_doubt(rule)
        where = f"{named} {before} of {clock.iso(at_ms)}"
        return None if rule is None else Finding(rule, explain(rule, self.last, before, where))

    def _after_doubt(self, rule: str) -> str | None:
        """The rule that still applies if the price lies where an earlier one was doubted; None if it is confirmed."""
        if not self.continues_doubt or self.doubted is None:
            return rule
        doubted, rules = self.doubted, self.marks.rules
        if personal := [rule for rule in rules if rule in PERSONAL]:
            return personal[0]
        if JUMP not in rules:
            return rule
        another = self.at_ms > doubted.at_ms and self.last != doubted.last
        return None if another or self._bar_confirms(doubted) else JUMP

    def _bar_confirms(self, doubted: Mark) -> bool:
        """Whether the newest bar began after a doubted price, and closed at another price near it."""
        bar, position = self.bar, self.position
        if bar is None or not doubted.at_ms <= bar.start_ms <= self.as_of_ms or bar.close == doubted.last:
            return False
        if stop_reached(position, self.last) and not stop_reached(position, bar.close):
            return False
        return broken_rule(doubted.last, bar.close, bar.start_ms - doubted.at_ms, self.band_width) is None

    def _broken_level(self) -> Finding | None:
        """Whether a reached stop, or the entry, is counted in another unit than the price."""
        position, believed, stop = self.position, self.believed, self.position.stop_loss
        if stop is None or not stop_reached(position, self.last):
            return None
        if believed is not None and believed.stop_loss == stop and stop_reached(position, believed.last):
            return None  # a believed price had reached the stop before
        levels = [("stop_loss", stop)]
        if believed is None and factor_of(stop, self.last) > USUAL:
            levels.append(("entry_price", position.entry_price))
        for name, level in levels:
            rule = broken_rule(level, self.last, 0, None)
            if rule in PERSONAL:
                return Finding(rule, explain(rule, self.last, level, f"position.{name} {level}"))
        return None

    @property
    def times_seen(self) -> int:
        """How many timestamps in a row, this one included, had the same price and volume."""
        believed = self.believed
        if believed is None or (believed.last, believed.volume) != (self.last, self.mark.volume):
            return 1
        return believed.seen + (self.at_ms > believed.at_ms)

    @property
    def is_far_past(self) -> bool:
        """Whether the price is too old even for a stop."""
        return self.max_age_ms is not None and self.as_of_ms - self.at_ms > self.max_age_ms

    @property
    def is_newer(self) -> bool:
        """Whether it is newer than a price that was in doubt, or is exactly the one that a person confirmed."""
        if self.doubted is not None and self.at_ms > self.doubted.at_ms:
            return True
        believed = self.believed
        return believed is not None and bool(believed.by) and self.at_ms == believed.at_ms


def stop_reached(position: values.Position, last: Decimal) -> bool:
    """Whether a price is at or beyond the position's stop."""
    stop = position.stop_loss
    return stop is not None and (last <= stop if position.side == "long" else last >= stop)


def frozen(case: PriceCase) -> str | None:
    """Say that the feed may be frozen."""
    seen = case.times_seen
    if seen < FROZEN_AFTER or case.mark.volume is None or not case.market_open:
        return None
    figures = f"price.price.last {case.last} and price.price.volume {case.mark.volume}"
    return f"{figures} are the same under {seen} timestamps in a row while the market is open"


def too_old(case: PriceCase) -> str | None:
    """Say that the price is too old even for a stop."""
    if not case.is_far_past or case.is_newer:
        return None
    age, limit = clock.in_words(case.as_of_ms - case.at_ms), clock.in_words(case.max_age_ms or 0)
    return f"price.timestamp {clock.iso(case.at_ms)} is {age} ago; up to {limit} a stale price is believed for a stop"


def current_price_far(case: PriceCase) -> str | None:
    """Say that the position was marked at another price."""
    position, last = case.position, case.last
    if position.current_price is None or case.step_from(position.current_price, case.marked_ms) is None:
        return None
    apart = clock.in_words(abs(case.at_ms - case.marked_ms))
    return f"position.current_price {position.current_price} is far from price.price.last {last}, {apart} apart"


def beyond_liquidation(case: PriceCase) -> str | None:
    """Say that the position should have been liquidated."""
    position, last = case.position, case.last
    level = position.liquidation_price
    if level is None or (last > level if position.side == "long" else last < level):
        return None
    return (
        f"price.price.last {last} is at or beyond position.liquidation_price {level} of the {position.side} position, "
        "which should not be open any more"
    )


def mark_price_far(case: PriceCase) -> str | None:
    """Say that mark price and last price cannot belong to the same instrument."""
    mark, last = case.position.mark_price, case.last
    if mark is None or factor_of(mark, last) <= _MARK_PRICE_FACTOR:
        return None
    return f"position.mark_price {mark} is far from price.price.last {last}"


def marks_after(case: PriceCase, findings: Sequence[Finding]) -> Marks:
    """The marks after a package with these findings on its price."""
    doubts = tuple(finding.rule for finding in findings if finding.doubts_price)
    if doubts:
        first = case.doubted if case.continues_doubt else None
        rules = dict.fromkeys((*case.marks.rules, *doubts) if first is not None else doubts)
        return Marks(case.marks.believed, first or case.mark, tuple(rules))
    seen = case.mark._replace(seen=case.times_seen)
    believed = case.believed
    if believed is not None and (stop_reached(case.position, case.last) or case.at_ms == believed.at_ms):
        seen = seen._replace(by=believed.by, why=believed.why)  # what a person confirmed holds as long as it matters
    if case.is_far_past and case.doubted is not None:  # a feed that runs late stays confirmed
        return Marks(seen, case.doubted, (TOO_OLD,))
    return Marks(seen)
