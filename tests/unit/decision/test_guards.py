from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from llmctx.decision.guards import guard
from llmctx.decision.parse import Misfit, parse
from llmctx.decision.verdict import GuardPolicy, Verdict, refused
from llmctx.schema.market_status import SPELLINGS
from tests.unit.makers import answer_text, decision, market, package_of

SIDES = pytest.mark.parametrize("side", ["long", "short"])


def levels(side: str, price: str = "100") -> dict[str, str]:
    """A position of a side at 100, its stop 5 against and its target 10 in favour."""
    sign = 1 if side == "long" else -1
    return {
        "side": side,
        "price": price,
        "entry": "100",
        "stop": str(100 - 5 * sign),
        "target": str(100 + 10 * sign),
        "quantity": "10",
    }


def verdict(
    changes: dict[str, Any] | None, *, side: str = "long", floor: str = "0.5", failure: str = "", **at: Any
) -> Verdict:
    """The verdict on an answer (None: no usable one) about such a position; its evidence is not looked at."""
    package = package_of(market(**(levels(side) | at)))
    assert package.refusal is None
    return guard(
        package,
        None if changes is None else decision(**changes),
        GuardPolicy(confidence_floor=Decimal(floor), grounding="off"),
        failure,
    )


def seen(*found: object) -> tuple[object, ...]:
    """Values side by side; 10 and Decimal(10) are equal, whatever their types."""
    return found


def names(found: Verdict) -> list[str]:
    return [name for name, _ in found.guards]


def breached(side: str) -> str:
    return "95" if side == "long" else "105"


@SIDES
def test_a_sound_answer_passes_untouched(side: str) -> None:
    found = verdict({"action": "reduce", "quantity": 4}, side=side)
    assert seen(found.action, found.quantity, found.guards) == ("reduce", 4, ())
    assert found.reason == "as the model decided"


@SIDES
def test_an_exit_closes_what_is_held(side: str) -> None:
    found = verdict({"action": "exit"}, side=side)
    assert seen(found.action, found.quantity, found.guards) == ("exit", 10, ())


@pytest.mark.parametrize("action", ["hold", "exit"])
def test_numbers_that_an_action_does_not_need_are_left_out(action: str) -> None:
    found = verdict({"action": action, "quantity": 3, "stop_loss": 90, "take_profit": 120})
    assert found.quantity == (10 if action == "exit" else None)
    assert seen(found.stop_loss, found.take_profit) == (None, None)


def test_a_reduction_moves_no_stops() -> None:
    found = verdict({"action": "reduce", "quantity": 3, "stop_loss": 90, "take_profit": 120})
    assert seen(found.quantity, found.stop_loss, found.take_profit) == (3, None, None)


def test_moving_stops_has_no_quantity() -> None:
    assert verdict({"action": "adjust_stops", "stop_loss": 97, "quantity": 3}).quantity is None


def test_no_answer_is_a_hold_that_tells_the_failure() -> None:
    found = verdict(None, failure="timeout: no answer before the deadline")
    assert seen(found.action, found.quantity) == ("hold", None)
    assert found.guards == (("no_answer", "timeout: no answer before the deadline"),)
    assert found.reason == "timeout: no answer before the deadline"


@SIDES
def test_no_answer_on_a_breached_stop_is_an_exit(side: str) -> None:
    found = verdict(None, side=side, price=breached(side), failure="timeout")
    assert seen(found.action, found.quantity) == ("exit", 10)
    assert names(found) == ["no_answer", "stop_loss_breached"]


ACTIONS: list[dict[str, Any]] = [
    {"action": "exit"},
    {"action": "reduce", "quantity": 3},
    {"action": "add", "quantity": 3},
    {"action": "adjust_stops", "stop_loss": 97, "take_profit": 120},
]


@pytest.mark.parametrize("changes", ACTIONS)
def test_an_unsure_action_becomes_a_hold(changes: dict[str, Any]) -> None:
    found = verdict({**changes, "confidence": 0.49})
    assert seen(found.action, found.quantity, found.stop_loss, found.take_profit) == ("hold", None, None, None)
    action = changes["action"]
    assert found.reason == f"confidence 0.49 is below the floor 0.5: {action} becomes hold"


@pytest.mark.parametrize("changes", ACTIONS)
def test_an_action_exactly_at_the_floor_passes(changes: dict[str, Any]) -> None:
    assert verdict({**changes, "confidence": 0.5}).action == changes["action"]


def test_an_unsure_hold_needs_no_guard() -> None:
    assert verdict({"action": "hold", "confidence": 0}).guards == ()


def test_a_floor_of_zero_lets_everything_pass() -> None:
    assert verdict({"action": "exit", "confidence": 0}, floor="0").action == "exit"


@pytest.mark.parametrize("floor", ["-0.1", "1.1"])
def test_a_floor_lies_between_0_and_1(floor: str) -> None:
    with pytest.raises(ValidationError, match="confidence_floor"):
        GuardPolicy(confidence_floor=Decimal(floor))


STALE = "2025-05-09T10:13:59.000Z"
OLDEST_FRESH = "2025-05-09T10:14:00.123Z"


def test_nothing_is_added_on_a_stale_price() -> None:
    found = verdict({"action": "add", "quantity": 3}, price_at=STALE)
    assert found.action == "hold"
    assert found.guards == (("stale_price", "the price is 1 min 31 s old: add becomes hold"),)


def test_a_price_exactly_at_its_limit_is_not_stale() -> None:
    assert verdict({"action": "add", "quantity": 3}, price_at=OLDEST_FRESH).action == "add"


@pytest.mark.parametrize("changes", [changes for changes in ACTIONS if changes["action"] != "add"])
def test_other_actions_pass_on_a_stale_price(changes: dict[str, Any]) -> None:
    assert verdict(changes, price_at=STALE).action == changes["action"]


@pytest.mark.parametrize("changes", [{"action": "hold"}, *ACTIONS], ids=lambda changes: changes["action"])
@pytest.mark.parametrize("status", SPELLINGS)
def test_in_each_known_status_the_market_is_open_or_nothing_is_traded_or_moved(
    changes: dict[str, Any], status: str
) -> None:
    action = changes["action"]
    for word in (status, *SPELLINGS[status]):
        found = verdict(changes, market_status=word.upper().replace(" ", "-"))
        if status == "open" or action == "hold":
            assert (found.action, found.guards) == (action, ()), word
        else:
            decided = seen(found.action, found.quantity, found.stop_loss, found.take_profit)
            assert decided == ("hold", None, None, None), word
            assert found.guards == (("market_closed", f"market_status is {status!r}: {action} becomes hold"),), word


UNUSABLE: dict[str, tuple[Any, str]] = {
    "missing": (None, "system:state: no such key"),
    "empty": ({}, "system:state: says nothing"),
    "invalid": ({"market_status": "open"}, "system:state: state is missing; "),
    "no text": ({"market_status": True}, "system:state: market_status True is not a known market status; "),
    "unknown word": ({"market_status": "lunch?"}, "system:state: market_status 'lunch?' is not a known market status; "),
    "stale open": ({"market_status": "open", "timestamp": "2025-05-09T10:10:00.000Z"}, "system:state is 5 min 30 s old"),
    "stale closed": ({"market_status": "closed", "timestamp": "2025-05-09T10:10:00.000Z"}, "system:state is 5 min 30 s old"),
}  # fmt: skip
"""What system:state says instead, and the reason that is given."""


@pytest.mark.parametrize("changes", [{"action": "hold"}, *ACTIONS], ids=lambda changes: changes["action"])
@pytest.mark.parametrize("case", UNUSABLE)
def test_without_a_usable_system_state_no_new_risk_is_taken_and_everything_else_passes(
    changes: dict[str, Any], case: str
) -> None:
    document, why = UNUSABLE[case]
    documents = market(**levels("long"))
    if document is None:
        del documents["system"]
    else:
        documents["system"] = document if case in ("empty", "invalid") else documents["system"] | document
    found = guard(package_of(documents), decision(**changes), GuardPolicy(grounding="off"))
    action = changes["action"]
    if action == "add":
        assert (found.action, names(found)) == ("hold", ["market_unknown"])
        assert found.reason.startswith(f"whether the market is open is unknown ({why}")
    else:
        assert (found.action, found.guards) == (action, ())


def test_a_hold_needs_no_open_market() -> None:
    assert verdict({"action": "hold"}, market_status="closed").guards == ()


@SIDES
def test_no_more_is_added_than_is_held(side: str) -> None:
    found = verdict({"action": "add", "quantity": 11}, side=side)
    assert seen(found.action, found.quantity) == ("add", 10)
    assert found.guards == (("quantity_cap", "add of 11 is capped at the 10 held"),)


@SIDES
def test_as_much_as_is_held_may_be_added(side: str) -> None:
    found = verdict({"action": "add", "quantity": 10}, side=side)
    assert seen(found.action, found.quantity, found.guards) == ("add", 10, ())


@SIDES
def test_closing_more_than_is_held_is_an_exit_of_what_is_held(side: str) -> None:
    found = verdict({"action": "reduce", "quantity": 10.5}, side=side)
    assert seen(found.action, found.quantity) == ("exit", 10)
    assert names(found) == ["quantity_cap"]


def test_closing_all_that_is_held_is_an_exit() -> None:
    found = verdict({"action": "reduce", "quantity": 10})
    assert seen(found.action, found.quantity) == ("exit", 10)


def test_a_reduction_that_becomes_an_exit_says_so() -> None:
    assert verdict({"action": "reduce", "quantity": 10}).guards != ()


def test_a_fraction_less_than_is_held_stays_a_reduction() -> None:
    found = verdict({"action": "reduce", "quantity": Decimal("9.999")})
    assert seen(found.action, found.quantity) == ("reduce", Decimal("9.999"))


@SIDES
@pytest.mark.parametrize("distance", [0, 1])
def test_a_stop_at_or_beyond_the_price_is_dropped(side: str, distance: int) -> None:
    sign = 1 if side == "long" else -1
    wrong, good = 100 + sign * distance, 100 + sign * 20
    found = verdict({"action": "adjust_stops", "stop_loss": wrong, "take_profit": good}, side=side)
    assert seen(found.action, found.stop_loss, found.take_profit) == ("adjust_stops", None, good)
    assert found.guards == (("stop_side", f"stop_loss {wrong} is on the wrong side of the price 100; dropped"),)


@SIDES
@pytest.mark.parametrize("distance", [0, 1])
def test_a_target_at_or_beyond_the_price_is_dropped(side: str, distance: int) -> None:
    sign = 1 if side == "long" else -1
    wrong, good = 100 - sign * distance, 100 - sign * 2
    found = verdict({"action": "adjust_stops", "stop_loss": good, "take_profit": wrong}, side=side)
    assert seen(found.action, found.stop_loss, found.take_profit) == ("adjust_stops", good, None)
    assert names(found) == ["target_side"]


@SIDES
def test_a_stop_and_a_target_on_their_right_sides_pass(side: str) -> None:
    sign = 1 if side == "long" else -1
    stop, target = 100 - sign * Decimal("0.01"), 100 + sign * Decimal("0.01")
    found = verdict({"action": "adjust_stops", "stop_loss": stop, "take_profit": target}, side=side)
    assert seen(found.action, found.stop_loss, found.take_profit, found.guards) == ("adjust_stops", stop, target, ())


@SIDES
def test_nothing_left_to_move_is_a_hold(side: str) -> None:
    found = verdict({"action": "adjust_stops", "stop_loss": 100, "take_profit": 100}, side=side)
    assert seen(found.action, found.stop_loss, found.take_profit) == ("hold", None, None)
    assert names(found) == ["stop_side", "target_side"]


@SIDES
def test_a_price_exactly_at_the_stop_is_an_exit(side: str) -> None:
    found = verdict({"action": "hold"}, side=side, price=breached(side))
    assert seen(found.action, found.quantity) == ("exit", 10)
    price = breached(side)
    assert (
        found.reason == f"the price {price} has reached the stop_loss {price} of the {side} position: hold becomes exit"
    )


@pytest.mark.parametrize(("side", "price"), [("long", "95.01"), ("short", "104.99")])
def test_a_price_just_before_the_stop_is_none(side: str, price: str) -> None:
    assert verdict({"action": "hold"}, side=side, price=price).action == "hold"


@pytest.mark.parametrize(("side", "price"), [("long", "90"), ("short", "110")])
@pytest.mark.parametrize("changes", [*ACTIONS, {"action": "hold"}])
def test_a_price_beyond_the_stop_is_an_exit_whatever_was_decided(
    changes: dict[str, Any], side: str, price: str
) -> None:
    found = verdict(changes, side=side, price=price)
    assert seen(found.action, found.quantity, found.stop_loss, found.take_profit) == ("exit", 10, None, None)


@SIDES
def test_an_exit_on_a_breached_stop_stands_and_notes_it(side: str) -> None:
    found = verdict({"action": "exit"}, side=side, price=breached(side))
    assert (found.action, names(found)) == ("exit", ["stop_loss_breached"])
    assert "becomes" not in found.reason


@SIDES
def test_a_breached_stop_is_an_exit_while_the_market_is_closed(side: str) -> None:
    found = verdict({"action": "exit"}, side=side, price=breached(side), market_status="closed")
    assert seen(found.action, found.quantity) == ("exit", 10)
    assert names(found) == ["market_closed", "stop_loss_breached"]


def test_a_breached_stop_is_an_exit_on_a_stale_price() -> None:
    found = verdict({"action": "add", "quantity": 1}, price="95", price_at=STALE)
    assert (found.action, names(found)) == ("exit", ["stale_price", "stale", "stop_loss_breached"])


def test_a_new_stop_does_not_heal_a_breached_one() -> None:
    found = verdict({"action": "adjust_stops", "stop_loss": 90}, price="95")
    assert seen(found.action, found.stop_loss) == ("exit", None)


@pytest.mark.parametrize("stop", ["145", -145, True, [145], float("1e40")])
@pytest.mark.parametrize(
    ("changes", "action"),
    [
        (None, "hold"),
        ({"action": "hold"}, "hold"),
        ({"action": "exit"}, "exit"),
        ({"action": "reduce", "quantity": 1}, "reduce"),
        ({"action": "add", "quantity": 1}, "hold"),
        ({"action": "adjust_stops", "stop_loss": 60}, "hold"),
    ],
)
def test_with_a_stop_that_cannot_be_read_no_new_risk_is_taken(
    stop: object, changes: dict[str, Any] | None, action: str
) -> None:
    documents = market(**levels("long", "65"))
    documents["position"]["stop_loss"] = stop
    package = package_of(documents)
    found = guard(package, None if changes is None else decision(**changes), GuardPolicy(grounding="off"))
    assert (found.action, names(found)[-1]) == (action, "stop_unconfirmed")


@pytest.mark.parametrize("stop", [None, 0, ""])
def test_a_stop_of_nothing_is_none(stop: object) -> None:
    documents = market(**levels("long", "65"))
    documents["position"]["stop_loss"] = stop
    assert names(guard(package_of(documents), decision(action="hold"), GuardPolicy(grounding="off"))) == []


def test_a_position_without_a_stop_has_none_to_breach() -> None:
    assert verdict({"action": "hold"}, stop=None, price="65").action == "hold"


def test_the_guards_stand_in_the_order_in_which_they_ran() -> None:
    found = verdict({"action": "add", "quantity": 99, "confidence": 0.1}, price="95", price_at=STALE)
    assert names(found) == ["confidence_floor", "stale", "stop_loss_breached"]


def test_each_guard_works_on_what_the_one_before_left() -> None:
    found = verdict({"action": "add", "quantity": 99}, price_at=STALE, market_status="closed")
    assert names(found) == ["stale_price"]


def test_the_reason_is_that_of_the_last_guard() -> None:
    found = verdict({"action": "add", "quantity": 99, "confidence": 0.1}, price="95")
    assert found.reason == found.guards[-1].detail


def test_a_refused_call_has_no_action() -> None:
    found = refused("price is missing: stocks:price:AAPL: no such key")
    assert seen(found.action, found.reason, found.guards) == (
        "none",
        "price is missing: stocks:price:AAPL: no such key",
        (),
    )


amounts = st.decimals("0.01", "200", places=2)
answers = st.fixed_dictionaries(
    {
        "action": st.sampled_from(["hold", "exit", "reduce", "add", "adjust_stops"]),
        "quantity": amounts,
        "stop_loss": st.none() | amounts,
        "take_profit": amounts,
        "confidence": st.decimals(0, 1, places=2),
    }
)
markets = st.fixed_dictionaries(
    {
        "side": st.sampled_from(["long", "short"]),
        "price": amounts.map(str),
        "quantity": amounts.map(str),
        "stop": st.none() | amounts.map(str),
        "target": st.none() | amounts.map(str),
        "market_status": st.sampled_from(["open", "closed"]),
        "price_at": st.sampled_from([STALE, OLDEST_FRESH]),
    }
)


@given(said=st.none() | answers, at=markets, floor=st.decimals(0, 1, places=2))
def test_no_answer_talks_a_verdict_out_of_its_limits(
    said: dict[str, Any] | None, at: dict[str, Any], floor: Decimal
) -> None:
    package = package_of(market(**at))
    answered = None if said is None else parse(answer_text(**said))
    assert not isinstance(answered, Misfit)
    found = guard(package, answered, GuardPolicy(confidence_floor=floor), "failure")
    price, held, stop = Decimal(at["price"]), Decimal(at["quantity"]), at["stop"]
    sign = 1 if at["side"] == "long" else -1

    if found.quantity is not None:
        assert 0 < found.quantity <= held
    assert (found.quantity is not None) == (found.action in ("exit", "reduce", "add"))
    assert found.action != "reduce" or found.quantity != held
    assert found.stop_loss is None or (price - found.stop_loss) * sign > 0
    assert found.take_profit is None or (found.take_profit - price) * sign > 0
    moves = found.stop_loss is not None or found.take_profit is not None
    assert moves == (found.action == "adjust_stops")
    is_breached = stop is not None and (price - Decimal(stop)) * sign <= 0
    assert not is_breached or (found.action, found.quantity) == ("exit", held)
    if not is_breached and (answered is None or at["market_status"] == "closed"):
        assert found.action == "hold"
    if said is not None and not is_breached and found.action not in ("hold", said["action"]):
        assert (said["action"], found.action) == ("reduce", "exit")
