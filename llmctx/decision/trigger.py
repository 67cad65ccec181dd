"""When a tick is worth a call of the model: rules that compare its package with that of the last call.

The guardrails judge every tick, whether the model is asked or not, so a breached stop always has its effect.
"""

from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from llmctx import clock
from llmctx.context.package import Package
from llmctx.schema import values
from llmctx.schema.fields import Setting

ALWAYS_ASKED = frozenset({"manual", "price_confirmed"})
"""The causes of ticks that a person raises."""
_MINUTE_MS = 60_000
_OWN_WORDS = ("thesis", "memory")
"""Sections that change because of decisions."""
_TELLS_TIME = "hh:mm:ss"


class TriggerPolicy(BaseModel):
    """What makes a tick worth a call; one reason is enough. A new or resized position always is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    new_signal: bool = False
    """A signal that is new or newer."""
    fresh_news: bool = False
    """A headline that is new."""
    near_level_pct: Setting | None = Field(None, gt=0, le=100)
    """The price comes within so many percent of stop or target; while it stays there, only if it comes nearer."""
    move_pct: Setting | None = Field(None, gt=0, le=1000)
    """The price has moved by so many percent."""
    every_minutes: int | None = Field(None, ge=1)
    """So many minutes have passed since the last call."""
    changed: bool = False
    """Anything in the package differs, apart from times."""

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not any(self.model_dump().values()):
            raise ValueError("no reason for a call is set, so the model would hardly ever be asked")
        return self


class Seen(NamedTuple):
    """What a package showed, reduced to what a trigger compares."""

    as_of_ms: int
    """Its time, in milliseconds."""
    position: tuple[int, Decimal, str]
    """Entry time in milliseconds, quantity and side of the position."""
    price: Decimal
    """The last price."""
    signals: frozenset[tuple[str, datetime]]
    """Section and time of each signal."""
    headlines: frozenset[tuple[str, datetime]]
    """Text and time of each headline."""
    content: int
    """A hash of every fact that is not a time; equal in one process for equal facts."""


class RuleResult(NamedTuple):
    """The result of one rule."""

    due: bool
    """Whether it is a reason for a call."""
    says: str
    """Why, or why not."""


def seen_in(package: Package) -> Seen:
    """The comparable part of a package; it must have a position and a price."""
    position, sentiment = package.position, package.sections["sentiment"].value
    signals = {
        (name, section.value.timestamp)
        for name, section in package.sections.items()
        if isinstance(section.value, values.Signal)
    }
    news = sentiment.latest_news if isinstance(sentiment, values.Sentiment) else ()
    return Seen(
        as_of_ms=package.as_of_ms,
        position=(clock.to_ms(position.entry_time), position.quantity, position.side),
        price=package.price.price.last,
        signals=frozenset(signals),
        headlines=frozenset((item.headline, item.timestamp) for item in news),
        content=hash(tuple(_content(package))),
    )


def _content(package: Package) -> Iterator[object]:
    for name, facts in package.facts.items():
        if name not in _OWN_WORDS:
            yield name, package.sections[name].status
            yield from (
                (fact.path, fact.value)
                for fact in facts
                if not isinstance(fact.value, datetime) and fact.unit != _TELLS_TIME
            )


def reason_not_to_ask(policy: TriggerPolicy, package: Package, before: Seen | None) -> str | None:
    """Why a tick does not deserve a call; None if it does. `before` is what the last call's package showed."""
    if before is None:
        return None
    now = seen_in(package)
    if now.position != before.position:
        return None
    answers = [rule(policy, package, before, now) for rule in _RULES]
    given = [answer for answer in answers if answer is not None]
    if any(answer.due for answer in given):
        return None
    return f"no call is due since {clock.iso(before.as_of_ms)}: {'; '.join(answer.says for answer in given)}"


def _signal(policy: TriggerPolicy, _: Package, before: Seen, now: Seen) -> RuleResult | None:
    return RuleResult(bool(now.signals - before.signals), "no new signal") if policy.new_signal else None


def _news(policy: TriggerPolicy, _: Package, before: Seen, now: Seen) -> RuleResult | None:
    return RuleResult(bool(now.headlines - before.headlines), "no fresh headline") if policy.fresh_news else None


def _level(policy: TriggerPolicy, package: Package, before: Seen, now: Seen) -> RuleResult | None:
    if policy.near_level_pct is None:
        return None
    position = package.position
    levels = [level for level in (position.stop_loss, position.take_profit) if level is not None]
    limit = policy.near_level_pct
    due = any(
        _distance_pct(level, now.price) <= limit
        and _distance_pct(level, now.price) < min(_distance_pct(level, before.price), limit)
        for level in levels
    )
    return RuleResult(due, f"not nearer to stop or target within {limit:f}%")


def _move(policy: TriggerPolicy, _: Package, before: Seen, now: Seen) -> RuleResult | None:
    if policy.move_pct is None:
        return None
    moved = _distance_pct(now.price, before.price)
    return RuleResult(moved >= policy.move_pct, f"the price moved {moved:.2f}% of {policy.move_pct:f}%")


def _time(policy: TriggerPolicy, _: Package, before: Seen, now: Seen) -> RuleResult | None:
    if policy.every_minutes is None:
        return None
    passed_ms = now.as_of_ms - before.as_of_ms
    due = passed_ms < 0 or passed_ms >= policy.every_minutes * _MINUTE_MS
    return RuleResult(due, f"{passed_ms // _MINUTE_MS} of {policy.every_minutes} minutes passed")


def _change(policy: TriggerPolicy, _: Package, before: Seen, now: Seen) -> RuleResult | None:
    return RuleResult(now.content != before.content, "nothing changed") if policy.changed else None


def _distance_pct(level: Decimal, price: Decimal) -> Decimal:
    return abs(level - price) / price * 100


_RULES: tuple[Callable[[TriggerPolicy, Package, Seen, Seen], RuleResult | None], ...] = (
    _signal,
    _news,
    _level,
    _move,
    _time,
    _change,
)
