from typing import Any

import pytest

from llmctx.decision.parse import Misfit, parse
from llmctx.llm.rulebook import Facts, decide
from tests.unit.makers import answer_text, market, prompt_of

CASES = {"long": 1, "short": -1}


def facts(**said: object) -> Facts:
    """What a prompt shows, with double underscores for the points of a path."""
    return Facts("\n".join(f"- {path.replace('__', '.')}: {value}" for path, value in said.items()))


def asked(side: str, move: float, *, stop: float | None = -5, target: float | None = 10, **more: object) -> Any:
    """The answer for a position entered at 100, after a move in its favour; levels as distances in its favour."""
    sign = CASES[side]
    said: dict[str, object] = {
        "price__price__last": 100 + sign * move,
        "position__entry_price": 100,
        "position__quantity": 25,
        "position__side": f'"{side}"',
        "position__stop_loss": "null" if stop is None else 100 + sign * stop,
        "position__take_profit": "null" if target is None else 100 + sign * target,
    }
    return decide(facts(**(said | more)))


def with_momentum(side: str, strength: float) -> dict[str, Any]:
    """MACD so far above its signal line, seen in the position's direction."""
    return {"indicators__macd": CASES[side] * strength, "indicators__macd_signal": 0}


def new_signal(side: str) -> dict[str, Any]:
    """An entry signal of the newest bar that points in a direction."""
    at = "2026-03-02T14:31:00.000Z"
    reason = '"breakout"' if side == "long" else '"breakdown"'
    return {"signals__entry__reason": reason, "signals__entry__timestamp": at, "position__last_update": at}


SIDES = pytest.mark.parametrize("side", CASES)


@SIDES
@pytest.mark.parametrize("move", [-5, -5.01, -50])
def test_a_price_at_or_beyond_the_stop_is_an_exit(side: str, move: float) -> None:
    answer = asked(side, move)
    assert answer["action"] == "exit"
    assert [fact["path"] for fact in answer["evidence"]] == ["price.price.last", "position.stop_loss"]


@SIDES
@pytest.mark.parametrize("move", [10, 10.01, 50])
def test_a_price_at_or_beyond_the_target_is_an_exit(side: str, move: float) -> None:
    answer = asked(side, move)
    assert answer["action"] == "exit"
    assert [fact["path"] for fact in answer["evidence"]] == ["price.price.last", "position.take_profit"]


def test_the_stop_goes_before_the_target() -> None:
    answer = asked("long", 0, stop=5, target=-5)
    assert answer["evidence"][1]["path"] == "position.stop_loss"


@pytest.mark.parametrize(("side", "rsi"), [("long", 75), ("long", 99), ("short", 25), ("short", 1)])
def test_an_extreme_rsi_with_a_profit_closes_half(side: str, rsi: float) -> None:
    answer = asked(side, 1, indicators__rsi_14=rsi)
    assert (answer["action"], answer["quantity"]) == ("reduce", 12)


@pytest.mark.parametrize(("side", "rsi"), [("long", 74.99), ("long", 25), ("short", 25.01), ("short", 75)])
def test_an_rsi_that_is_no_extreme_of_this_side_changes_nothing(side: str, rsi: float) -> None:
    assert asked(side, 1, indicators__rsi_14=rsi)["action"] == "hold"


@pytest.mark.parametrize(("side", "rsi"), [("long", 90), ("short", 10)])
def test_an_extreme_rsi_without_a_profit_changes_nothing(side: str, rsi: float) -> None:
    assert asked(side, 0, indicators__rsi_14=rsi)["action"] == "hold"


def test_half_of_one_share_is_none_so_an_extreme_rsi_changes_nothing() -> None:
    assert asked("long", 1, indicators__rsi_14=90, position__quantity=1)["action"] == "hold"


@SIDES
@pytest.mark.parametrize("move", [5, 9.99])
def test_half_of_the_way_to_the_target_moves_the_stop_to_the_entry(side: str, move: float) -> None:
    answer = asked(side, move)
    assert (answer["action"], answer["stop_loss"], answer["take_profit"]) == ("adjust_stops", 100, None)


@SIDES
def test_less_than_half_of_the_way_leaves_the_stop(side: str) -> None:
    assert asked(side, 4.99)["action"] == "hold"


@SIDES
@pytest.mark.parametrize("stop", [0, 2])
def test_a_stop_that_allows_no_loss_is_left(side: str, stop: float) -> None:
    assert asked(side, 6, stop=stop)["action"] == "hold"


@SIDES
def test_an_extreme_rsi_goes_before_the_stop_to_the_entry(side: str) -> None:
    assert asked(side, 6, indicators__rsi_14=90 if side == "long" else 10)["action"] == "reduce"


@SIDES
@pytest.mark.parametrize("move", [-2, -2.5])
def test_two_thirds_of_the_way_to_the_stop_against_the_momentum_closes_half_unsurely(side: str, move: float) -> None:
    answer = asked(side, move, stop=-3, **with_momentum(side, -0.1))
    assert (answer["action"], answer["quantity"], answer["confidence"]) == ("reduce", 12, 0.45)


@SIDES
def test_less_than_two_thirds_of_the_way_to_the_stop_changes_nothing(side: str) -> None:
    assert asked(side, -1.99, stop=-3, **with_momentum(side, -0.1))["action"] == "hold"


@SIDES
@pytest.mark.parametrize("strength", [0, 0.1])
def test_close_to_the_stop_with_the_momentum_changes_nothing(side: str, strength: float) -> None:
    assert asked(side, -2.5, stop=-3, **with_momentum(side, strength))["action"] == "hold"


@SIDES
def test_close_to_the_stop_without_macd_changes_nothing(side: str) -> None:
    assert asked(side, -2.5, stop=-3, indicators__macd="null", indicators__macd_signal="null")["action"] == "hold"


@SIDES
def test_an_entry_signal_with_the_momentum_adds_a_tenth(side: str) -> None:
    answer = asked(side, 0, **new_signal(side), **with_momentum(side, 0.1))
    assert (answer["action"], answer["quantity"]) == ("add", 2)
    assert [fact["path"] for fact in answer["evidence"]] == ["signals.entry.reason", "indicators.macd"]


@SIDES
@pytest.mark.parametrize("strength", [0, -0.1])
def test_an_entry_signal_without_the_momentum_adds_nothing(side: str, strength: float) -> None:
    assert asked(side, 0, **new_signal(side), **with_momentum(side, strength))["action"] == "hold"


@SIDES
def test_an_entry_signal_of_an_earlier_bar_adds_nothing(side: str) -> None:
    earlier = new_signal(side) | {"position__last_update": "2026-03-02T14:32:00.000Z"}
    assert asked(side, 0, **earlier, **with_momentum(side, 0.1))["action"] == "hold"


@SIDES
def test_an_entry_signal_against_the_position_adds_nothing(side: str) -> None:
    other = new_signal("short" if side == "long" else "long")
    assert asked(side, 0, **other, **with_momentum(side, 0.1))["action"] == "hold"


@SIDES
def test_the_momentum_without_an_entry_signal_adds_nothing(side: str) -> None:
    assert asked(side, 0, **with_momentum(side, 1))["action"] == "hold"


def test_a_tenth_of_nine_shares_is_none_so_nothing_is_added() -> None:
    answer = asked("long", 0, **new_signal("long"), position__quantity=9, **with_momentum("long", 1))
    assert answer["action"] == "hold"


@SIDES
def test_nothing_remarkable_is_a_hold(side: str) -> None:
    answer = asked(side, 1)
    assert (answer["action"], answer["quantity"], answer["stop_loss"]) == ("hold", None, None)


@SIDES
def test_a_position_without_stop_and_target_is_held(side: str) -> None:
    assert asked(side, 50, stop=None, target=None)["action"] == "hold"


@pytest.mark.parametrize("lacking", ["price__price__last", "position__entry_price", "position__quantity"])
def test_a_prompt_without_a_position_and_a_price_is_an_unsure_hold(lacking: str) -> None:
    said: dict[str, Any] = {lacking: "null"}
    answer = asked("long", -50, **said)
    assert (answer["action"], answer["confidence"]) == ("hold", 0.1)


@SIDES
@pytest.mark.parametrize("move", [-6, -4.9, 0, 6, 11])
def test_every_answer_fits_the_schema(side: str, move: float) -> None:
    content = answer_text(**asked(side, move, indicators__rsi_14=50, **with_momentum(side, -0.1)))
    assert not isinstance(parse(content), Misfit)


def test_the_answer_to_an_empty_prompt_fits_the_schema() -> None:
    assert not isinstance(parse(answer_text(**decide(Facts("")))), Misfit)


def test_the_evidence_repeats_values_as_the_prompt_shows_them() -> None:
    answer = asked("long", 0, **new_signal("long"), **with_momentum("long", 0.5))
    assert [fact["value"] for fact in answer["evidence"]] == ["breakout", "0.5"]


def test_units_are_no_part_of_a_value() -> None:
    assert Facts("- price.price.last: 152.5 [price]").texts == {"price.price.last": "152.5"}


def test_a_line_that_is_no_fact_is_not_read() -> None:
    assert Facts("price.price.last: 1\n## price: fresh\nNobody - has: written").texts == {}


def test_a_text_is_no_number() -> None:
    assert Facts('- position.quantity: "many"').number("position.quantity") is None


@SIDES
def test_the_shipped_prompt_shows_all_that_the_rules_need(side: str) -> None:
    stop, target = ("153", "160") if side == "long" else ("152", "140")
    prompt = prompt_of(market(side=side, stop=stop, target=target))
    assert decide(Facts(prompt.messages[1].content))["action"] == "exit"
