from collections import Counter
from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmctx.flow.market_context import UNCLASSIFIED, MarketContext
from llmctx.schema import values

DAY = date(2014, 6, 6)
SECTORS = {"AAPL": "technology", "MSFT": "technology", "JPM": "financials"}


def market(*changes: str | Decimal, sectors: dict[str, str] | None = None) -> MarketContext:
    """The market of symbols S0, S1, ... with these changes."""
    made = MarketContext(sectors)
    for at, change in enumerate(changes):
        made.update(DAY, f"S{at}", Decimal(change))
    return made


def test_a_market_without_symbols_is_empty() -> None:
    assert MarketContext(SECTORS).value() == {
        "sector_performance": {},
        "market_breadth": {"advancing": 0, "declining": 0, "unchanged": 0},
        "vix": None,
        "market_regime": None,
    }


def test_a_sectors_performance_is_the_mean_of_its_symbols() -> None:
    made = MarketContext(SECTORS)
    for symbol, change in (("AAPL", "1"), ("MSFT", "0.5"), ("JPM", "-0.3333"), ("XOM", "2")):
        made.update(DAY, symbol, Decimal(change))
    assert made.value()["sector_performance"] == {
        "financials": Decimal("-0.3333"),
        "technology": Decimal("0.75"),
        UNCLASSIFIED: 2,
    }


def test_breadth_counts_what_rose_fell_and_stood_still() -> None:
    assert market("1", "0.0001", "-2", "0").value()["market_breadth"] == {
        "advancing": 2,
        "declining": 1,
        "unchanged": 1,
    }


def test_without_a_sector_map_everything_is_unclassified() -> None:
    assert market("1", "2").value()["sector_performance"] == {UNCLASSIFIED: Decimal("1.5")}


def test_a_symbols_newest_change_takes_the_place_of_the_one_before() -> None:
    made = market("1", "-1")
    made.update(DAY, "S0", Decimal(-3))
    assert made.value() == market("-3", "-1").value()


def test_a_new_day_forgets_the_one_before() -> None:
    made = market("1", "2")
    made.update(DAY + timedelta(days=1), "S9", Decimal(-1))
    assert made.value()["market_breadth"] == {"advancing": 0, "declining": 1, "unchanged": 0}
    assert made.value()["sector_performance"] == {UNCLASSIFIED: -1}


@pytest.mark.parametrize(
    ("changes", "regime"),
    [
        (["0.5"], "bullish_trend"),
        (["0.4999"], "bullish_consolidation"),
        (["2", "0.5", "0.5", "-0.5", "0"], "bullish_trend"),  # three of five advance
        (["3", "0.5", "-0.5", "-0.5", "0"], "bullish_consolidation"),
        (["0.1001"], "bullish_consolidation"),
        (["0.1"], "neutral"),
        (["0"], "neutral"),
        (["5", "-5"], "neutral"),
        (["-0.1"], "neutral"),
        (["-0.1001"], "bearish_consolidation"),
        (["-0.4999"], "bearish_consolidation"),
        (["-3", "-0.5", "0.5", "0.5", "0.1"], "bearish_consolidation"),
        (["-3", "-0.5", "0.5", "0.5", "0"], "bearish_trend"),  # two of five advance
        (["-0.5"], "bearish_trend"),
    ],
)
def test_the_regime_follows_the_mean_and_the_share_that_advances(changes: list[str], regime: str) -> None:
    assert market(*changes).value()["market_regime"] == regime


@pytest.mark.parametrize("vix", [None, Decimal("18.5")])
def test_the_volatility_index_is_what_was_given(vix: Decimal | None) -> None:
    made = MarketContext(SECTORS, vix)
    assert made.value()["vix"] == vix
    made.vix = Decimal(20)
    assert made.value()["vix"] == 20


changes_of_a_day = st.decimals(-50, 50, places=4)
updates = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from(["AAPL", "MSFT", "JPM", "XOM", "GE"]), changes_of_a_day), max_size=60
).map(lambda rows: sorted(rows, key=lambda row: row[0]))


@given(updates)
def test_what_is_kept_bar_by_bar_equals_a_fresh_computation(rows: list[tuple[int, str, Decimal]]) -> None:
    made, last = MarketContext(SECTORS), {}
    for day, symbol, change in rows:
        made.update(DAY + timedelta(days=day), symbol, change)
        last[day, symbol] = change
    newest = max((day for day, _ in last), default=0)
    known = {symbol: change for (day, symbol), change in last.items() if day == newest}
    value = made.value()
    sectors: dict[str, list[Decimal]] = {}
    for symbol, change in known.items():
        sectors.setdefault(SECTORS.get(symbol, UNCLASSIFIED), []).append(change)
    exact = {sector: (sum(found, Decimal(0)) / len(found)) for sector, found in sectors.items()}
    assert value["sector_performance"] == {name: mean.quantize(Decimal("0.0001")) for name, mean in exact.items()}
    signs = Counter((change > 0) - (change < 0) for change in known.values())
    assert value["market_breadth"] == {"advancing": signs[1], "declining": signs[-1], "unchanged": signs[0]}
    assert value["market_regime"] == _regime(list(known.values()))
    values.Market.model_validate(value | {"timestamp": "2014-06-06T13:30:00.000Z"})


@given(st.lists(changes_of_a_day, min_size=1, max_size=8))
def test_a_market_upside_down_is_bearish_where_the_other_is_bullish(changes: list[Decimal]) -> None:
    other = {"bullish": "bearish", "bearish": "bullish"}
    regime, mirrored = _regime(changes), market(*(-change for change in changes)).value()["market_regime"]
    way, _, kind = str(regime).partition("_")
    unchanged = sum(change == 0 for change in changes)
    if not unchanged or kind != "trend":  # an unchanged symbol does not advance, in either direction
        assert mirrored.partition("_")[0] == other.get(way, way)


def _regime(changes: list[Decimal]) -> str | None:
    """The table of the module, line by line."""
    if not changes:
        return None
    mean, advancing = sum(changes, Decimal(0)) / len(changes), sum(change > 0 for change in changes) / len(changes)
    if mean >= Decimal("0.5") and advancing >= 0.6:
        return "bullish_trend"
    if mean <= Decimal("-0.5") and advancing <= 0.4:
        return "bearish_trend"
    if mean > Decimal("0.1"):
        return "bullish_consolidation"
    return "bearish_consolidation" if mean < Decimal("-0.1") else "neutral"
