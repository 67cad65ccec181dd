from datetime import timedelta
from decimal import Decimal

import pytest

from llmctx.flow.indicators import SlowMacd
from llmctx.flow.monitoring import monitoring
from llmctx.schema.values import Monitoring
from tests.unit.flow.makers import MINUTE, OPENING, bar, position, track

AT = OPENING + MINUTE


def test_it_has_the_shape_of_the_schema_while_nothing_is_warm() -> None:
    found = monitoring(position(), track(bar()), AT, one_minute=True)
    Monitoring.model_validate(found | {"timestamp": "2014-06-06T13:31:00.000Z"})
    assert found["technical_signals"] == {"rsi_1m": None, "macd_5m": None, "support_resistance": None}


def test_it_has_the_shape_of_the_schema_when_everything_is_warm() -> None:
    bars = [bar(at, str(700 + at * at % 97)) for at in range(200)]
    made = track(*bars)
    found = monitoring(position(), made, AT, one_minute=True)
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
    found = monitoring(position(), made, AT, one_minute=True)["technical_signals"]["rsi_1m"]
    assert found == {"value": Decimal(rsi), "signal": signal}


def test_rsi_of_other_bars_is_not_called_that_of_a_minute() -> None:
    made = track(*(bar(at, str(100 + at)) for at in range(30)))
    assert monitoring(position(), made, AT, one_minute=False)["technical_signals"]["rsi_1m"] is None


@pytest.mark.parametrize(
    ("close", "level", "kind"), [("103", 105, "resistance"), ("96", 95, "support"), ("105", 95, "support")]
)
def test_the_sessions_own_high_and_low_are_levels(close: str, level: int, kind: str) -> None:
    made = track(bar(0, close, high="105", low="95"))
    found = monitoring(position(), made, AT, one_minute=True)["technical_signals"]["support_resistance"]
    assert found == {"next_level": level, "type": kind}


@pytest.mark.parametrize("side", ["long", "short"])
@pytest.mark.parametrize(
    ("close", "upper", "lower"),
    [("100", "10.0%", "10.0%"), ("104.37", "5.4%", "13.8%"), ("110", "0.0%", "18.2%"), ("120", "8.3%", "25.0%")],
)
def test_distances_are_shares_of_the_last_price(side: str, close: str, upper: str, lower: str) -> None:
    found = monitoring(position(side), track(bar(0, close)), AT, one_minute=True)
    target, stop = ("profit_target", "stop_loss") if side == "long" else ("stop_loss", "profit_target")
    assert found[target] == {"value": 110, "distance": upper}
    assert found[stop] == {"value": 90, "distance": lower}


def test_a_stop_or_target_that_is_not_set_has_no_distance() -> None:
    found = monitoring(position(stop_loss=None, take_profit=None), track(bar()), AT, one_minute=True)
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
