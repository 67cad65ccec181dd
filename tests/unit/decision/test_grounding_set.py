"""The labelled reasonings: the figures that the README states hold, on the half that nobody tuned on too."""

from datetime import UTC, datetime, timedelta

import pytest

from benchmarks.derived import derived
from benchmarks.grounding import measure, score, together
from benchmarks.planted import fitted, may_turn
from benchmarks.reasonings import ASSETS, FILLINGS, HALVES, HELD_OUT, packages, reasonings, slots_of
from benchmarks.stated import stated
from llmctx.context.package import Package


@pytest.mark.parametrize(
    ("half", "precision", "recall"),
    [
        ("tuned", 0.99, 0.96),
        ("held_out", 0.99, 0.95),
        ("foreign_a", 0.98, 0.96),
        ("foreign_b", 0.92, 0.94),
        ("foreign_c", 0.98, 0.94),
    ],
)
def test_planted_false_numbers_are_found_and_true_ones_are_not_called_false(
    half: str, precision: float, recall: float
) -> None:
    got = score(reasonings(half))
    assert got.texts >= 180
    assert got.planted >= 100
    assert got.precision >= precision
    assert got.recall >= recall


def test_what_is_published_is_over_all_texts_that_nobody_looked_at() -> None:
    scores = [score(reasonings(half)) for half in HELD_OUT]
    told, every = measure(), together(scores)
    assert set(HELD_OUT) == {"foreign_b", "held_out"}
    assert told["grounding_precision"] == f"{every.precision:.3f} share"
    assert told["grounding_recall"] == f"{every.recall:.3f} share"


def test_it_holds_for_other_fillings_of_the_same_texts() -> None:
    got = [score(reasonings("held_out", seed=seed)) for seed in (1, 2, 3)]
    assert min(one.precision for one in got) >= 0.95
    assert min(one.recall for one in got) >= 0.9


def test_it_holds_for_other_packages_with_other_numbers() -> None:
    got = [score(reasonings("foreign_c", seed=seed)) for seed in (1, 2, 3)]
    assert min(one.precision for one in got) >= 0.97
    assert min(one.recall for one in got) >= 0.94


def test_the_packages_are_those_of_a_session() -> None:
    assert len({package.symbol for package in packages()}) >= 6
    assert {package.position.side for package in packages()} == {"long", "short"}


@pytest.mark.parametrize("half", HALVES)
def test_every_text_of_a_set_has_packages_that_fill_it(half: str) -> None:
    texts = (ASSETS / f"{half}.txt").read_text(encoding="utf-8").split("%%\n")
    made = list(reasonings(half))
    assert len(made) >= len(texts) * FILLINGS * 0.95
    assert all(one.true or one.planted for one in made)
    assert sum(bool(one.planted) for one in made) * 2 == len(made)


def test_derived_figures_are_those_that_one_works_out_by_hand() -> None:
    slots = {
        "last": 102.0, "entry": 100.0, "stop": 98.0, "target": 108.0, "qty": 11.0, "half": 5.0, "high": 104.0,
        "low": 99.0, "up": 105.0, "lo": 95.0, "sigprice": 100.5, "level": 103.0, "avgw": 50.0, "avgl": -25.0,
        "adv": 3.0, "dec": 5.0, "tech": 0.5, "energy": -0.4,
    }  # fmt: skip
    got = derived({"monitoring": {"time_in_trade": "01:30:00"}}, slots)
    assert (got["r_now"], got["r_stop_left"], got["r_target_left"], got["lvl_1r"]) == (1, 2, 3, 102)
    assert (got["mid_st"], got["mid_el"], got["mid_hl"], got["bbmid"]) == (103, 101, 101.5, 100)
    assert (got["progress"], got["rangepos"], got["pctb"], got["p_width"]) == (25, 60, 70, 10)
    assert (got["cost"], got["half_worth"], got["rest"], got["money_target"], got["gain_target"]) == (
        1100, 510, 6, 66, 88,
    )  # fmt: skip
    assert (got["payoff"], got["netadv"], got["mins"], got["hours"]) == (2, -2, 90, 1.5)
    assert got["d_sectors"] == pytest.approx(0.9)


def _written(package: Package, section: str) -> dict[str, float]:
    value = package.sections[section].value
    assert value is not None
    fields: dict[str, float] = {
        name: float(field) for name, field in value.model_dump(mode="json").items() if isinstance(field, int | float)
    }
    return fields


@pytest.mark.parametrize("package", packages("foreign_c"), ids=lambda package: package.symbol)
def test_the_packages_of_other_systems_agree_with_themselves(package: Package) -> None:
    assert package.refusal is None
    assert {section.status.value for section in package.sections.values()} <= {"fresh", "missing", "empty"}
    position, price, bands = package.position, package.price.price, _written(package, "indicators")
    way = 1 if position.side == "long" else -1
    move = float(position.current_price - position.entry_price) * way
    assert position.current_price == price.last
    assert price.low <= min(price.last, price.open) <= max(price.last, price.open) <= price.high
    assert float(position.unrealized_pnl) == pytest.approx(move * float(position.quantity), abs=0.01)
    assert float(position.unrealized_pnl_pct) == pytest.approx(move / float(position.entry_price) * 100, abs=0.006)
    width = bands["bollinger_upper"] - bands["bollinger_lower"]
    assert bands["bollinger_width"] == pytest.approx(width)
    day = _written(package, "performance")
    assert day["win_rate"] == pytest.approx(day["win_count"] / (day["win_count"] + day["loss_count"]), abs=1e-4)


def test_prices_of_other_systems_have_every_size() -> None:
    lasts = [float(package.price.price.last) for package in packages("foreign_c")]
    assert min(lasts) < 0.1
    assert max(lasts) > 50_000
    assert {package.position.side for package in packages("foreign_c")} == {"long", "short"}


def test_prices_are_written_with_the_places_of_their_size() -> None:
    shown = [format(price, fitted("p", price)) for price in (0.0842, 18.6, 4312.5, 67350.0)]
    assert shown == ["0.08420", "18.60", "4,312.50", "67,350"]
    assert format(2.5, fitted("+m", 18.6)) == "+2.500"
    assert fitted(".1f", 0.0842) == ".1f"


def test_signs_are_turned_only_where_the_sign_is_said() -> None:
    assert may_turn("pnl", "+12.50")
    assert may_turn("macd", "-0.2")
    assert not may_turn("pnl", "12.50")
    assert not may_turn("pnl", "-0.00")
    assert not may_turn("stop", "-12.50")


def test_some_of_the_false_numbers_are_true_ones_with_the_sign_turned() -> None:
    turned = 0
    for one in reasonings("foreign_c"):
        slots = slots_of(one.package)
        other = {f"{-slots[name]:+.2f}" for name in ("pnl", "pnlpct", "daily", "dailypct", "sent") if slots.get(name)}
        turned += any(one.text[a:b].replace(",", "") in other for a, b in one.planted)
    assert turned >= 8


def test_stated_figures_are_those_that_one_works_out_by_hand() -> None:
    now = datetime(2026, 4, 13, 15, 0, tzinfo=UTC)
    slots = {
        "sym": "ACME", "last": 102.0, "entry": 100.0, "d_entry": 2.0, "stop": 98.0, "d_stop": 4.0, "open": 101.0,
        "high": 104.0, "low": 99.0, "target": 108.0, "rsi": 62.0, "rr_now": 1.5, "p_risk": 2.0, "risk_money": 440.0,
        "adv": 300.0, "dec": 100.0, "avgw": 50.0, "avgl": -25.0, "wins": 3.0, "losses": 1.0, "winrate": 0.75,
        "poscount": 2.0, "daily": -12.0, "dailypct": -0.1,
    }  # fmt: skip
    raw = {
        "price": {"price": {"vwap": 101.5}, "timestamp": now}, "position": {"entry_time": now - timedelta(hours=1)},
        "indicators": {"atr_14": 0.5, "ema_20": 101.0}, "market": {"market_breadth": {"unchanged": 7}},
        "candidates": [{"symbol": name, "score": score, "price": 9} for name, score in (("B", 0.9), ("ACME", 0.7))],
        "sentiment": {"latest_news": [{"headline": "Sales up 6%"}, {"headline": "A $250 million order"}]},
        "thesis": {"decided": "adjust_stop", "reasoning": "At 101.5 so.", "as_of": now - timedelta(minutes=10)},
    }  # fmt: skip
    got = stated(raw, slots)
    assert (got["move_atr"], got["stop_atr"], got["d_ema20"], got["d_vwap"], got["above_ema"]) == (
        4,
        8,
        1,
        0.5,
        "above",
    )
    assert (got["s_entry"], got["entry_bps"], got["mid_lt"], got["bewin"], got["rsi_50"]) == (2, 200, 105, 40, 12)
    assert (got["rank"], got["ranked"], got["myscore"], got["d_score"]) == (2, 2, 0.7, pytest.approx(0.2))
    assert (got["adratio"], got["decpct"], got["more"], got["unch"]) == (3, 25, "up", 7)
    assert (got["expectancy"], got["pf"], got["dayupdown"], got["poscount_word"]) == (31.25, 6, "down", "two")
    assert (got["headline"], got["headpct"], got["headmn"]) == ("Sales up 6%", 6, 250)
    assert (got["prevact"], got["prevprice"], got["d_prev"], got["prevmins"]) == ("adjust stop", 101.5, 0.5, 10)
    assert (got["entryclock"], got["clock"]) == ("14:00", "15:00")
