"""What is implausible about a section: a table of rules over one package and the marks before it.

An implausible section keeps its status and its facts; prompt and record say what is wrong with it. Rules that put the
newest price in doubt name what confirms it; until then a breached stop is not acted on (decision/guards).
docs/plausibility.md shows the table.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

from pydantic import BaseModel

from llmctx.context import paths, price_doubt, price_step, value_rules
from llmctx.context.finding import ConfirmedBy, Finding
from llmctx.context.price_doubt import PriceCase
from llmctx.errors import in_short


def _step(rule: str, case: PriceCase) -> str | None:
    return case.broken.reason if case.broken is not None and case.broken.rule == rule else None


def _of_case(find: Callable[[PriceCase], str | None]) -> Callable[[str, PriceCase], str | None]:
    return lambda _, case: find(case)


class Rule(NamedTuple):
    """One rule."""

    name: str
    """Its name."""
    section: str
    """The section it is about."""
    says: str
    """What is implausible."""
    find: Callable[[Any, Any], str | None]
    """Returns the reason or None, from the section's path and value, or from the rule's name and the PriceCase."""
    confirmed_by: ConfirmedBy = ConfirmedBy.NOT_NEEDED
    """What confirms the price, if the rule puts it in doubt."""


VALUE_RULES = (
    Rule("high_below_low", "price", "high is below low", value_rules.high_below_low),
    Rule("last_outside_session", "price", "last is outside low to high", value_rules.last_outside_session),
    Rule("negative_volume", "price", "volume is below 0", value_rules.negative_volume),
    Rule("inverted_bands", "indicators", "bollinger_upper is below bollinger_lower", value_rules.inverted_bands),
    *(
        Rule("outside_range", section, f"{fields} is outside its range", value_rules.outside_range)
        for section, fields in (
            ("indicators", "rsi_14"),
            ("monitoring", "rsi_1m"),
            ("sentiment", "sentiment_score"),
            ("signals", "confidence"),
            ("candidates", "a score"),
            ("performance", "win_rate"),
        )
    ),
    Rule("pnl_against_prices", "position", "unrealized_pnl contradicts the prices", value_rules.pnl_against_prices),
    Rule(
        "pnl_pct_against_prices",
        "position",
        "unrealized_pnl_pct contradicts the prices",
        value_rules.pnl_pct_against_prices,
    ),
    Rule(
        "funding_rate_far",
        "position",
        "funding_rate is beyond 5% of the position's value",
        value_rules.funding_rate_far,
    ),
)
"""The rules over one value."""

CASE_RULES = (
    Rule("current_price_far", "position", "current_price is far from last", _of_case(price_doubt.current_price_far)),
    Rule("mark_price_far", "position", "mark_price is over 10% from last", _of_case(price_doubt.mark_price_far)),
    Rule(
        "beyond_liquidation",
        "price",
        "last is at or beyond the position's liquidation_price",
        _of_case(price_doubt.beyond_liquidation),
    ),
    Rule(
        "frozen",
        "price",
        "the same last and volume under 5 timestamps in a row while the market is open",
        _of_case(price_doubt.frozen),
    ),
    Rule(
        price_doubt.TOO_OLD,
        "price",
        "older than 10 times its limit",
        _of_case(price_doubt.too_old),
        ConfirmedBy.NEWER,
    ),
    Rule(
        price_step.JUMP,
        "price",
        "further from the price before it than is believed in that time",
        _step,
        ConfirmedBy.LATER,
    ),
    Rule(
        price_step.UNIT_OR_SPLIT,
        "price",
        "a ratio of 3:2, or of a whole number from 2 to 100, to the price before it, to a stop that it reaches or to "
        "the entry",
        _step,
        ConfirmedBy.PERSON,
    ),
    Rule(
        price_step.BAD_PRINT,
        "price",
        "a factor above 4, and no such ratio, to the price before it or to a stop that it reaches",
        _step,
        ConfirmedBy.PERSON,
    ),
)
"""The rules over the price, the position and the marks."""


@cache
def _rules_of(rules: tuple[Rule, ...], section: str) -> tuple[Rule, ...]:
    return tuple(rule for rule in rules if rule.section == section.partition(".")[0])


def findings_of_value(section: str, value: BaseModel) -> tuple[Finding, ...]:
    """What is implausible about a section's value by itself."""
    rules = _rules_of(VALUE_RULES, section)
    return _findings(rules, paths.root(section), value) if rules else ()


def findings_of_case(section: str, case: PriceCase) -> tuple[Finding, ...]:
    """What is implausible about the price or the position, compared with each other and with the marks."""
    return _findings(_rules_of(CASE_RULES, section), None, case)


def _findings(rules: tuple[Rule, ...], path: str | None, subject: Any) -> tuple[Finding, ...]:
    found: tuple[Finding, ...] = ()
    for rule in rules:
        try:
            reason = rule.find(path or rule.name, subject)
        except Exception as error:  # noqa: BLE001  a rule that breaks off must cost neither the tick nor a stop
            found += (Finding(rule.name, f"the rule broke off ({in_short(error)})"),)
        else:
            if reason is not None:
                found += (Finding(rule.name, reason, rule.confirmed_by),)
    return found
