"""What is implausible about a section, rule by rule; the property over all packages stands in test_unconfirmed_stop."""

from decimal import Decimal
from typing import Any

import pytest

from llmctx import canonical, clock
from llmctx.context.marks import LaterBar, Mark, Marks, mark_of, read_bar, read_confirmation
from llmctx.context.package import Package, build_package
from llmctx.context.plausibility import CASE_RULES, VALUE_RULES
from llmctx.decision.guards import guard
from llmctx.decision.verdict import GuardPolicy
from llmctx.leaf_fields import sections_fields
from llmctx.prompt.render import render
from tests.unit import makers
from tests.unit.makers import NOW_MS, Document, decision, snapshot_of, template

MINUTE_MS = 60_000
DAY_MS = 24 * 60 * MINUTE_MS


def market(**given: str) -> dict[str, Document]:
    """The documents of `makers.market`, with a profit that the prices make."""
    documents = makers.market(**given)
    position = documents["position"]
    move = (position["current_price"] - position["entry_price"]) * (1 if position["side"] == "long" else -1)
    position["unrealized_pnl"] = move * position["quantity"]
    position["unrealized_pnl_pct"] = round(move / position["entry_price"] * 100, 2)
    return documents


def judged(documents: dict[str, Document], marks: Marks = Marks()) -> Package:  # noqa: B008  frozen
    """The package of these documents after these marks."""
    return build_package(snapshot_of(documents).model_copy(update={"marks": marks}))


def rules(package: Package, section: str) -> list[str]:
    return [finding.rule for finding in package.sections[section].implausible]


def changed(section: str, **fields: Any) -> dict[str, Document]:
    """The market with some fields of a section changed; price takes those of its figures."""
    documents = market()
    target = documents[section]["price"] if section == "price" else documents[section]
    target |= fields
    return documents


def believed(price: str, before_ms: int = MINUTE_MS, **levels: str) -> Marks:
    """The marks after a price that was believed some time ago, on the same position as `market(**levels)`."""
    package = judged(market(price=price, **levels))
    return Marks(mark_of(package.position, package.price)._replace(at_ms=NOW_MS - before_ms))


def test_a_sound_market_has_nothing_implausible() -> None:
    package = judged(market())
    assert all(not section.implausible for section in package.sections.values())
    assert package.marks_after == Marks(mark_of(package.position, package.price))


INDICATORS: Document = {
    "rsi_14": 50, "macd": 0, "macd_signal": 0, "bollinger_upper": 160, "bollinger_lower": 140, "bollinger_width": 20,
    "timestamp": "2025-05-09T10:15:30.123Z",
}  # fmt: skip
SENTIMENT = {
    "sentiment_score": 0.5, "sentiment_label": "bullish", "news_count": 2, "latest_news": [],
    "timestamp": "2025-05-09T10:15:30.123Z",
}  # fmt: skip
SIGNAL = {
    "reason": "breakout", "price": 152, "timestamp": "2025-05-09T10:15:30.123Z", "indicators": {}, "confidence": 0.5,
}  # fmt: skip
PERFORMANCE = {
    "daily_pnl": 1, "daily_pnl_pct": 1, "win_count": 1, "loss_count": 1, "win_rate": 0.5, "avg_win": 1, "avg_loss": -1,
    "largest_win": 1, "largest_loss": -1, "timestamp": "2025-05-09T10:15:30.123Z",
}  # fmt: skip
MONITORING: Document = {
    "technical_signals": {"rsi_1m": {"value": 50, "signal": None}, "macd_5m": None, "support_resistance": None},
    "profit_target": None, "stop_loss": None, "time_in_trade": "00:30:00", "timestamp": "2025-05-09T10:15:30.123Z",
}  # fmt: skip


@pytest.mark.parametrize(
    ("section", "document", "rule", "told"),
    [
        ("indicators", INDICATORS | {"rsi_14": 412}, "outside_range", "indicators.rsi_14 412 is outside 0 to 100"),
        ("indicators", INDICATORS | {"rsi_14": -1}, "outside_range", "indicators.rsi_14 -1 "),
        ("indicators", INDICATORS | {"bollinger_upper": 130}, "inverted_bands", "bollinger_upper 130 is below"),
        ("sentiment", SENTIMENT | {"sentiment_score": 31}, "outside_range", "sentiment.sentiment_score 31 "),
        ("signals.exit", SIGNAL | {"confidence": 88}, "outside_range", "signals.exit.confidence 88 is outside 0 to 1"),
        ("signals.exit", SIGNAL | {"confidence": -2}, "outside_range", "signals.exit.confidence -2 "),
        ("performance", PERFORMANCE | {"win_rate": 61}, "outside_range", "performance.win_rate 61 "),
        ("monitoring", MONITORING | {"technical_signals": MONITORING["technical_signals"] | {
            "rsi_1m": {"value": 101, "signal": None}}}, "outside_range", "rsi_1m.value 101 "),
    ],
)  # fmt: skip
def test_a_section_that_contradicts_itself_says_so(section: str, document: Document, rule: str, told: str) -> None:
    package = judged(market() | {section: document})
    (finding,) = package.sections[section].implausible
    assert (finding.rule, finding.doubts_price) == (rule, False)
    assert told in finding.reason


@pytest.mark.parametrize(
    ("fields", "rule", "told"),
    [
        ({"high": 150, "low": 155}, "high_below_low", "price.price.high 150 is below price.price.low 155"),
        ({"high": 152}, "last_outside_session", "price.price.last 152.5 is outside price.price.low 152.5 to"),
        ({"low": 153}, "last_outside_session", "153 to price.price.high 152.5"),
        ({"volume": -7}, "negative_volume", "price.price.volume -7 is negative"),
    ],
)
def test_a_price_section_that_contradicts_itself_says_so(fields: Document, rule: str, told: str) -> None:
    package = judged(changed("price", **fields))
    assert rule in rules(package, "price")
    assert any(told in finding.reason for finding in package.sections["price"].implausible)
    assert package.price_doubts == []


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"unrealized_pnl": 25, "unrealized_pnl_pct": 1.67}, []),
        ({"unrealized_pnl": -25, "unrealized_pnl_pct": 1.67}, ["pnl_against_prices"]),
        ({"unrealized_pnl": 2500, "unrealized_pnl_pct": 1.67}, ["pnl_against_prices"]),
        ({"unrealized_pnl": 2500, "unrealized_pnl_pct": 1.67, "multiplier": 100}, []),
        ({"unrealized_pnl": 25, "unrealized_pnl_pct": -14}, ["pnl_pct_against_prices"]),
        ({"unrealized_pnl": 25, "unrealized_pnl_pct": 16.7, "leverage": 10}, ["pnl_pct_against_prices"]),
    ],
)
def test_a_profit_that_the_prices_do_not_make(fields: Document, expected: list[str]) -> None:
    assert rules(judged(changed("position", **fields)), "position") == expected


def test_a_percentage_on_margin_is_called_so() -> None:
    package = judged(changed("position", unrealized_pnl=25, unrealized_pnl_pct=16.7, leverage=10))
    (finding,) = package.sections["position"].implausible
    assert "in percent of the margin (leverage 10), not of what was paid" in finding.reason
    assert finding.reason.endswith("is 1.67%")


def test_a_position_marked_far_from_the_price() -> None:
    package = judged(changed("position", current_price=1525, unrealized_pnl=13750, unrealized_pnl_pct=916.67))
    assert rules(package, "position") == ["current_price_far"]


@pytest.mark.parametrize(
    ("side", "level", "beyond"),
    [("long", 153, True), ("long", 120, False), ("short", 152.5, True), ("short", 170, False)],
)
def test_a_price_beyond_the_liquidation_of_its_position(side: str, level: float, *, beyond: bool) -> None:
    documents = market(side=side, stop="100" if side == "long" else "200")
    documents["position"]["liquidation_price"] = level
    package = judged(documents)
    assert rules(package, "price") == (["beyond_liquidation"] if beyond else [])
    assert package.price_doubts == []


def test_nothing_is_added_on_an_implausible_price() -> None:
    package = judged(changed("price", volume=-7))
    found = guard(package, decision(action="add", quantity=1), GuardPolicy(grounding="off"))
    assert (found.action, found.guards[-1].name) == ("hold", "implausible_price")


# Steps from the price before


@pytest.mark.parametrize(
    ("before", "now", "rule"),
    [
        ("100", "81", None), ("100", "124", None), ("100", "62", "jump"), ("100", "140", "jump"),
        ("100", "50.5", "unit_or_split"), ("100", "67", "unit_or_split"), ("100", "33", "unit_or_split"),
        ("100", "10.1", "unit_or_split"), ("100", "1", "unit_or_split"), ("100", "305", "unit_or_split"),
        ("100", "22.2", "bad_print"), ("100", "0.0003", "bad_print"), ("100", "99999", "bad_print"),
    ],
)  # fmt: skip
def test_the_step_from_the_believed_price_a_minute_ago(before: str, now: str, rule: str | None) -> None:
    doubts = judged(market(price=now), believed(before)).price_doubts
    assert [doubt.rule for doubt in doubts] == ([] if rule is None else [rule])
    assert all(f"price.price.last {now} is " in doubt.reason for doubt in doubts)


@pytest.mark.parametrize(
    ("before_ms", "rule"), [(MINUTE_MS, "jump"), (DAY_MS // 4, "jump"), (DAY_MS, None), (3 * DAY_MS, None)]
)
def test_a_larger_step_is_believed_after_a_longer_time(before_ms: int, rule: str | None) -> None:
    doubts = judged(market(price="63"), believed("100", before_ms)).price_doubts
    assert [doubt.rule for doubt in doubts] == ([] if rule is None else [rule])


def test_wide_bands_allow_a_larger_step_but_no_split() -> None:
    wide = {"indicators": INDICATORS | {"bollinger_width": 40}}
    assert judged(market(price="74") | wide, believed("100")).price_doubts == []
    assert judged(market(price="50") | wide, believed("100")).price_doubts != []


def test_without_a_believed_price_the_position_s_own_older_mark_is_the_price_before() -> None:
    documents = market(price="101.5", entry="149", stop="141")
    documents["position"] |= {"current_price": 151, "last_update": "2025-05-08T20:00:00Z"}
    (doubt,) = judged(documents).price_doubts
    assert doubt.rule == "unit_or_split"
    assert "position.current_price 151 of 2025-05-08T20:00:00.000Z" in doubt.reason


def test_a_stop_in_other_units_puts_the_price_in_doubt() -> None:
    (doubt,) = judged(market(price="119.5", entry="119", stop="1185")).price_doubts
    assert (doubt.rule, "position.stop_loss 1185" in doubt.reason) == ("unit_or_split", True)


def test_a_position_that_has_doubled_is_in_its_own_units() -> None:
    """The stop has followed, so half the price is the entry and no split."""
    assert judged(market(price="200", entry="100", stop="201")).price_doubts == []


def test_a_price_that_a_person_confirmed_is_believed_at_its_level_only() -> None:
    marks = believed("50", stop="145")
    assert marks.believed is not None
    marks = Marks(marks.believed._replace(by="Ann", why="seen twice"))
    assert judged(market(price="49"), marks).price_doubts == []
    assert judged(market(price="24.6"), marks).price_doubts != []


def test_a_rewritten_position_forgets_the_price_before() -> None:
    assert judged(market(price="15", entry="15", stop="14.2"), believed("150")).price_doubts == []


# What confirms


def then(before: Package, price: str, after_ms: int = MINUTE_MS, **levels: str) -> Package:
    """The next package of the same position, some time later."""
    marks = before.marks_after
    assert marks is not None
    believed, doubted = (
        None if mark is None else mark._replace(at_ms=mark.at_ms - after_ms) for mark in (marks.believed, marks.doubted)
    )
    return judged(market(price=price, **levels), Marks(believed, doubted, marks.rules))


def test_a_jump_is_confirmed_by_a_later_price_of_another_value() -> None:
    first = judged(market(price="85"), believed("150"))
    assert [doubt.rule for doubt in first.price_doubts] == ["jump"]
    second = then(first, "84.5")
    assert second.price_doubts == []
    assert second.marks_after is not None
    assert second.marks_after.doubted is None


@pytest.mark.parametrize(("price", "after_ms"), [("85", MINUTE_MS), ("84.5", 0)])
def test_the_same_value_or_the_same_time_confirms_no_jump(price: str, after_ms: int) -> None:
    first = judged(market(price="85"), believed("150"))
    assert [doubt.rule for doubt in then(first, price, after_ms).price_doubts] == ["jump"]


def test_a_jump_is_not_confirmed_by_another_jump() -> None:
    first = judged(market(price="85"), believed("150"))
    assert then(first, "41").price_doubts != []


@pytest.mark.parametrize(
    ("close", "after_ms", "confirms"),
    [("84.5", 1000, True), ("85", 1000, False), ("84.5", -1000, False), ("146", 1000, False), ("41", 1000, False)],
)
def test_a_jump_is_confirmed_by_a_later_bar(close: str, after_ms: int, *, confirms: bool) -> None:
    """Another close, from after the price, that reaches the stop too and is near the first price."""
    first = judged(market(price="85"), believed("150"))
    assert first.marks_after is not None
    bar = LaterBar(NOW_MS + after_ms, Decimal(close))
    later = snapshot_of(market(price="85")).model_copy(
        update={"marks": first.marks_after, "bar": bar, "as_of_ms": NOW_MS + 60_000}
    )
    assert type(later).from_evidence(later.evidence()) == later
    assert (build_package(later).price_doubts == []) is confirms


@pytest.mark.parametrize(
    ("entry_id", "close"),
    [(b"x-0", b"1"), (b"1-0", b"NaN"), (b"1-0", b"-1"), (b"1-0", b"1e99"), (b"9999999999999999999-0", b"1")],
)
def test_a_malformed_bar_confirms_nothing(entry_id: bytes, close: bytes) -> None:
    assert read_bar(entry_id, close) is None


@pytest.mark.parametrize("price", ["1.5", "0.0003", "20.2"])
def test_a_wrong_unit_is_not_confirmed_by_more_of_the_same(price: str) -> None:
    package = judged(market(price=price), believed("150"))
    for step in range(1, 5):
        package = then(package, f"{float(price) * (1 + step / 1000):.6f}")
        assert package.price_doubts != []


def test_a_bad_print_is_forgotten_when_the_price_is_back() -> None:
    package = then(judged(market(price="0.0003"), believed("150")), "149")
    assert package.price_doubts == []
    assert package.marks_after is not None
    assert package.marks_after.doubted is None


def test_a_price_far_in_the_past_is_confirmed_by_any_newer_one() -> None:
    documents = market(price="144", price_at="2023-10-01T10:00:00Z")
    first = judged(documents)
    assert [doubt.rule for doubt in first.price_doubts] == ["too_old"]
    assert "price.timestamp 2023-10-01T10:00:00.000Z" in first.price_doubts[0].reason
    again = judged(documents, first.marks_after or Marks())
    assert [doubt.rule for doubt in again.price_doubts] == ["too_old"]
    newer = judged(market(price="144", price_at="2023-10-01T10:01:00Z"), first.marks_after or Marks())
    assert newer.price_doubts == []


def test_a_price_far_in_the_past_can_be_confirmed_by_a_person() -> None:
    documents = market(price="144", price_at="2023-10-01T10:00:00Z")
    first = judged(documents).marks_after
    assert first is not None
    assert first.doubted is not None
    confirmed = Marks(first.doubted._replace(by="Ann", why="the exchange was shut"))
    again = judged(documents, confirmed)
    assert again.price_doubts == []
    assert judged(documents, again.marks_after or Marks()).price_doubts == []


def test_a_stale_price_is_believed_up_to_ten_times_its_limit() -> None:
    at = {limit: clock.iso(NOW_MS - limit * 1000) for limit in (899, 901)}
    assert judged(market(price_at=at[899])).price_doubts == []
    assert [doubt.rule for doubt in judged(market(price_at=at[901])).price_doubts] == ["too_old"]


@pytest.mark.parametrize(
    "changes",
    [
        {"last": "NaN"},
        {"last": "-1"},
        {"last": "1e99"},
        {"at_ms": -1},
        {"at_ms": "soon"},
        {"by": ""},
        {"why": "x" * 1001},
        {"stop_loss": "none"},
        {"forged": 1},
    ],
)
def test_a_malformed_confirmation_is_refused(changes: dict[str, Any]) -> None:
    document = a_mark().document() | changes
    with pytest.raises(ValueError, match="confirmation"):
        read_confirmation(canonical.dumps(document))


def test_a_confirmation_is_read_as_it_was_written() -> None:
    mark = a_mark()._replace(volume=None, seen=1)
    assert read_confirmation(canonical.dumps(mark.document())) == mark


# A frozen feed


def test_the_same_price_and_volume_under_five_timestamps_are_a_frozen_feed() -> None:
    package, seen = judged(market()), []
    for _ in range(6):
        seen.append(rules(package, "price"))
        package = then(package, "152.5")
    assert seen == [[], [], [], [], ["frozen"], ["frozen"]]
    assert package.price_doubts == []
    assert rules(then(package, "152.6"), "price") == []


def test_one_timestamp_counts_once_and_a_closed_market_may_stand_still() -> None:
    package = judged(market())
    closed = package
    for _ in range(8):
        package = then(package, "152.5", after_ms=0)
        closed = then(closed, "152.5", market_status="closed")
    assert rules(package, "price") == []
    assert rules(closed, "price") == []


# What is said


def test_prompt_and_record_say_what_is_implausible() -> None:
    package = judged(changed("price", volume=-7))
    fields = sections_fields(package)
    assert fields["price"]["implausible"] == ["negative_volume: price.price.volume -7 is negative"]
    assert "implausible" not in fields["position"]
    text = render(template(), package).messages[-1].content
    assert "implausible" in text
    assert "- (implausible): price.price.volume -7 is negative\n" in text


def test_a_snapshot_of_an_older_version_is_not_judged() -> None:
    package = build_package(snapshot_of(changed("price", volume=-7)))
    assert (package.marks_after, rules(package, "price")) == (None, [])


def test_marks_survive_the_way_through_the_evidence() -> None:
    snapshot = snapshot_of(market()).model_copy(update={"marks": Marks(a_mark(), a_mark(), ("jump",))})
    assert type(snapshot).from_evidence(snapshot.evidence()) == snapshot


def a_mark() -> Mark:
    package = judged(market())
    return mark_of(package.position, package.price)._replace(seen=3, by="Ann", why="seen")


def test_a_rule_that_breaks_off_says_so_and_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(*_: object) -> str:
        raise OverflowError("cannot convert Infinity to integer")

    monkeypatch.setattr("llmctx.context.plausibility.CASE_RULES", tuple(r._replace(find=breaks) for r in CASE_RULES))
    package = judged(market(price="0.0003"))
    assert package.price_doubts == []
    assert all("broke off (OverflowError" in str(found) for found in package.sections["price"].implausible)


def test_every_rule_has_a_name_of_its_own_in_its_section() -> None:
    named = [(rule.section, rule.name) for rule in (*VALUE_RULES, *CASE_RULES)]
    assert len(named) == len(set(named))
