from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmctx import canonical
from llmctx.flow.bars import rounded_price
from llmctx.flow.indicators import SlowMacd
from llmctx.flow.mark_to_market import adjust, adjusted_for_jump, mark, monitoring, position_from_wire, position_to_wire
from llmctx.flow.rules import STOP_DISTANCE, TARGET_DISTANCE
from llmctx.schema.values import Monitoring, Position
from tests.unit.flow.makers import MINUTE, NEXT_DAY, OPENING, bar, position, track

AT = OPENING
LATER = OPENING + MINUTE
SIDES = st.sampled_from(["long", "short"])
prices = st.decimals("0.01", "100000", places=4)


def opened(side: str = "long", price: str | Decimal = "640") -> Position:
    """Fifteen shares with the stop and target of a new position."""
    paid, sign = Decimal(price), 1 if side == "long" else -1
    return position(
        side,
        entry_price=paid,
        current_price=paid,
        quantity=Decimal(15),
        stop_loss=rounded_price(paid * (1 - sign * STOP_DISTANCE)),
        take_profit=rounded_price(paid * (1 + sign * TARGET_DISTANCE)),
    )


def test_a_mark_moves_price_profit_and_time_and_nothing_else() -> None:
    before = opened()
    after = mark(before, Decimal(646), LATER)
    changed = {name for name in Position.model_fields if getattr(before, name) != getattr(after, name)}
    assert changed == {"current_price", "unrealized_pnl", "unrealized_pnl_pct", "last_update"}
    assert (after.current_price, after.last_update) == (Decimal(646), LATER)


@pytest.mark.parametrize(
    ("side", "price", "pnl", "percent"),
    [
        ("long", "646.4", "96", "1"),
        ("long", "633.6", "-96", "-1"),
        ("short", "646.4", "-96", "-1"),
        ("short", "633.6", "96", "1"),
        ("long", "640", "0", "0"),
        ("long", "640.01", "0.15", "0.0016"),
    ],
)
def test_a_mark_computes_the_profit_in_money_and_percent(side: str, price: str, pnl: str, percent: str) -> None:
    position = mark(opened(side), Decimal(price), LATER)
    assert (position.unrealized_pnl, position.unrealized_pnl_pct) == (Decimal(pnl), Decimal(percent))


@pytest.mark.parametrize(("entry", "price"), [("1e-15", "1e15"), ("1e15", "1e-15")])
def test_every_valid_price_can_be_marked(entry: str, price: str) -> None:
    held = position(entry_price=Decimal(entry), stop_loss=None, take_profit=None)
    marked = mark(held, Decimal(price), LATER)
    assert marked.unrealized_pnl is not None
    assert (marked.unrealized_pnl > 0) == (Decimal(price) > Decimal(entry))


def test_a_mark_depends_on_the_entry_and_not_on_the_previous_mark() -> None:
    twice = mark(mark(opened(), Decimal(600), AT), Decimal(646), LATER)
    assert twice == mark(opened(), Decimal(646), LATER)


@given(side=SIDES, price=prices)
def test_a_long_position_earns_what_a_short_one_loses(side: str, price: Decimal) -> None:
    other = "short" if side == "long" else "long"
    one, mirrored = (mark(opened(each), price, LATER).unrealized_pnl for each in (side, other))
    assert one is not None
    assert mirrored is not None
    assert one == -mirrored


def test_unknown_fields_of_a_position_survive_a_mark() -> None:
    position = Position.model_validate(opened().model_dump() | {"broker": "X"})
    assert mark(position, Decimal(646), LATER).model_dump()["broker"] == "X"


def test_a_split_divides_prices_and_multiplies_shares() -> None:
    position = adjust(mark(opened(), Decimal(644), LATER), Decimal(7))
    assert (position.entry_price, position.current_price, position.quantity) == (
        Decimal("91.4286"),
        Decimal(92),
        Decimal(105),
    )
    assert (position.stop_loss, position.take_profit) == (Decimal("90.5143"), Decimal("93.2571"))


def test_a_reverse_split_multiplies_prices_and_divides_shares() -> None:
    position = adjust(opened(), Decimal("0.1"))
    assert (position.entry_price, position.quantity) == (Decimal(6400), Decimal("1.5"))
    assert (position.stop_loss, position.take_profit) == (Decimal(6336), Decimal(6528))


def test_a_split_keeps_symbol_side_times_and_profit() -> None:
    before = mark(opened(), Decimal(644), LATER)
    after = adjust(before, Decimal(7))
    same = {"symbol", "side", "entry_time", "last_update", "unrealized_pnl", "unrealized_pnl_pct"}
    assert after.model_dump(include=same) == before.model_dump(include=same)


def test_a_split_keeps_a_missing_stop_or_target() -> None:
    open_ended = opened().model_copy(update={"stop_loss": None, "take_profit": None})
    position = adjust(open_ended, Decimal(7))
    assert (position.stop_loss, position.take_profit) == (None, None)


@given(side=SIDES, price=st.decimals("50", "1000", places=2), ratio=st.integers(2, 20))
def test_a_split_changes_the_worth_only_by_rounding(side: str, price: Decimal, ratio: int) -> None:
    before = opened(side, price)
    after = adjust(before, Decimal(ratio))
    assert before.current_price is not None
    assert after.current_price is not None
    worth = before.current_price * before.quantity
    assert abs(after.current_price * after.quantity - worth) <= after.quantity * Decimal("0.00005")
    assert after.stop_loss is not None
    assert after.take_profit is not None
    low, high = sorted([after.stop_loss, after.take_profit])
    assert low < after.current_price < high


@pytest.mark.parametrize(
    ("price", "at", "ratios", "expected"),
    [
        ("54", NEXT_DAY, {}, "same"),  # a crash, but no ratio
        ("140", NEXT_DAY, {}, "same"),
        ("50", NEXT_DAY, {"AAPL": Decimal(1)}, "same"),  # somebody says that it is one
        ("14", OPENING + MINUTE, {}, "same"),  # within a session it is a price move
        ("14", OPENING + MINUTE, {"AAPL": Decimal(7)}, "same"),
        ("50.5", NEXT_DAY, {}, None),
        ("148", NEXT_DAY, {}, None),
        ("14", NEXT_DAY, {"MSFT": Decimal(7)}, None),
        ("14", NEXT_DAY, {"AAPL": Decimal(7)}, "adjusted"),
        ("10.3", NEXT_DAY, {"AAPL": Decimal(7)}, "adjusted"),
        ("8.5", NEXT_DAY, {"AAPL": Decimal(7)}, None),
        ("20.1", NEXT_DAY, {"AAPL": Decimal(7)}, None),
    ],
)
def test_a_position_is_adjusted_only_for_a_jump_that_its_ratio_explains(
    price: str, at: datetime, ratios: dict[str, Decimal], expected: str | None
) -> None:
    held = position()
    found = adjusted_for_jump(held, Decimal(price), at, ratios)
    assert found == {"same": held, "adjusted": adjust(held, Decimal(7)), None: None}[expected]


@pytest.mark.parametrize("side", ["long", "short"])
def test_a_position_survives_a_round_trip_through_its_wire(side: str) -> None:
    held = position(side, stop_loss=None, entry_price=Decimal("99.1234"))
    raw = position_to_wire(held)
    parsed = position_from_wire(raw)
    assert parsed == held
    assert position_to_wire(parsed) == raw


def test_unknown_fields_of_a_position_survive_the_wire() -> None:
    raw = canonical.wire(canonical.loads(position_to_wire(position())) | {"broker": "X", "fee": Decimal("1.5")})
    parsed = position_from_wire(raw)
    assert parsed is not None
    assert canonical.loads(position_to_wire(parsed)) == canonical.loads(raw)


def test_a_position_is_written_in_the_shape_of_the_schema() -> None:
    raw = position_to_wire(position())
    assert Position.model_validate(canonical.loads(raw)) == position()
    assert canonical.loads(raw)["entry_time"] == "2014-06-06T13:30:00.000Z"
    assert b'"quantity":10,' in raw


def test_monitoring_fits_the_schema_before_anything_is_warm() -> None:
    found = monitoring(position(), track(bar()), LATER, one_minute=True)
    Monitoring.model_validate(found | {"timestamp": "2014-06-06T13:31:00.000Z"})
    assert found["technical_signals"] == {"rsi_1m": None, "macd_5m": None, "support_resistance": None}


def test_monitoring_fits_the_schema_once_everything_is_warm() -> None:
    bars = [bar(at, str(700 + at * at % 97)) for at in range(200)]
    made = track(*bars)
    found = monitoring(position(), made, LATER, one_minute=True)
    Monitoring.model_validate(found | {"timestamp": "2014-06-06T13:31:00.000Z"})
    slow = SlowMacd(timedelta(minutes=5), MINUTE)
    for one in bars:
        slow.add(one.start, one.close)
    assert found["technical_signals"]["macd_5m"] == slow.reading()
    assert found["technical_signals"]["rsi_1m"]["value"] == made.indicators.values()["rsi_14"]
    assert found["technical_signals"]["support_resistance"]["type"] in {"support", "resistance"}


@pytest.mark.parametrize(
    ("rsi", "signal"),
    [
        ("100", "overbought"), ("70", "overbought"), ("69.999999", "neutral"), ("50", "neutral"),
        ("30.000001", "neutral"), ("30", "oversold"), ("0", "oversold"),
    ],
)  # fmt: skip
def test_rsi_is_read_at_seventy_and_thirty(rsi: str, signal: str) -> None:
    made = track(bar())
    made.now = made.now | {"rsi_14": Decimal(rsi)}
    found = monitoring(position(), made, LATER, one_minute=True)["technical_signals"]["rsi_1m"]
    assert found == {"value": Decimal(rsi), "signal": signal}


def test_the_one_minute_rsi_needs_one_minute_bars() -> None:
    made = track(*(bar(at, str(100 + at)) for at in range(30)))
    assert monitoring(position(), made, LATER, one_minute=False)["technical_signals"]["rsi_1m"] is None


@pytest.mark.parametrize(
    ("close", "level", "kind"), [("103", 105, "resistance"), ("96", 95, "support"), ("105", 95, "support")]
)
def test_the_sessions_own_high_and_low_are_levels(close: str, level: int, kind: str) -> None:
    made = track(bar(0, close, high="105", low="95"))
    found = monitoring(position(), made, LATER, one_minute=True)["technical_signals"]["support_resistance"]
    assert found == {"next_level": level, "type": kind}


@pytest.mark.parametrize("side", ["long", "short"])
@pytest.mark.parametrize(
    ("close", "upper", "lower"),
    [("100", "10.0%", "10.0%"), ("104.37", "5.4%", "13.8%"), ("110", "0.0%", "18.2%"), ("120", "8.3%", "25.0%")],
)
def test_distances_are_shares_of_the_last_price(side: str, close: str, upper: str, lower: str) -> None:
    found = monitoring(position(side), track(bar(0, close)), LATER, one_minute=True)
    target, stop = ("profit_target", "stop_loss") if side == "long" else ("stop_loss", "profit_target")
    assert found[target] == {"value": 110, "distance": upper}
    assert found[stop] == {"value": 90, "distance": lower}


def test_a_stop_or_target_that_is_not_set_has_no_distance() -> None:
    found = monitoring(position(stop_loss=None, take_profit=None), track(bar()), LATER, one_minute=True)
    assert (found["profit_target"], found["stop_loss"]) == (None, None)


@pytest.mark.parametrize(
    ("seconds", "span"),
    [
        (0, "00:00:00"), (59, "00:00:59"), (60, "00:01:00"), (1635, "00:27:15"), (3599.999, "00:59:59"),
        (86_399, "23:59:59"), (86_400, "24:00:00"), (1_000_000, "277:46:40"), (-5, "00:00:00"),
    ],
)  # fmt: skip
def test_the_time_in_trade_goes_on_beyond_a_day(seconds: float, span: str) -> None:
    found = monitoring(position(), track(bar()), OPENING + timedelta(seconds=seconds), one_minute=True)
    assert found["time_in_trade"] == span
