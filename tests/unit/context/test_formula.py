from decimal import ROUND_HALF_EVEN, Context, Decimal, DivisionByZero, InvalidOperation, Overflow
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmctx.context.amount import Amount
from llmctx.context.facts import Fact
from llmctx.context.formula import LAUNDERS, FormulaFault, evaluate, parse

FACTS = {
    fact.path: fact
    for fact in (
        Fact("price.last", Decimal("648.41"), "price"),
        Fact("position.stop", Decimal("638.65"), "price"),
        Fact("position.size", 15, "shares"),
        Fact("position.pct", Decimal("0.513"), "%"),
        Fact("market.share", Decimal("0.72"), "0 to 1"),
        Fact("market.text", "up", None),
        Fact("market.nothing", None, None),
        Fact("market.zero", Decimal(0), None),
        Fact("market.huge", 10**308, None),
    )
}


def value(text: str) -> Amount | FormulaFault | None:
    node = parse(text)
    return None if node is None else evaluate(node, FACTS)


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("price.last", "price"),
        ("price.last / position.stop - 1", "ratio"),
        ("(price.last - position.stop) / price.last * 100", "%"),
        ("abs(price.last - position.stop)", "price"),
        ("(price.last + position.stop) / 2", "price"),
        ("price.last * position.size", "open"),
        ("position.pct / 100", "ratio"),
        ("-position.pct", "%"),
        ("market.share * 100", "%"),
        ("1 - market.share", "ratio"),
        ("100 * (price.last - position.stop) / price.last", "%"),
        ("100 * price.last / position.stop - 100", "%"),
        ("100 * price.last", "price"),
        ("100 * price.last / position.size", "open"),
        ("(price.last / position.stop - 1) - (position.stop / price.last - 1)", "ratio"),
    ],
)
def test_a_formula_has_the_unit_of_what_it_comes_to(text: str, unit: str | None) -> None:
    found = value(text)
    assert isinstance(found, Amount)
    assert found.unit == unit


@pytest.mark.parametrize(
    "text",
    [
        "", "1", "price.last +", "(price.last", "price.last)", "price.last x 2", "price.last ** 2", "max(price.last, 2)",
        "price.last * 0 + 120", "price.last * 3", "price.last + 1e3", "price.last" + " + price.last" * 9,
        "price.last + " + " " * 200 + "1", "(" * 11 + "price.last" + ")" * 11, "price.last.", "+price.last",
    ],
)  # fmt: skip
def test_what_is_outside_the_rules_is_no_formula(text: str) -> None:
    assert parse(text) is None


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("price.nothing * 2", FormulaFault("no such path", "price.nothing")),
        ("market.nothing", FormulaFault("null", "market.nothing")),
        ("market.text + 1", FormulaFault("text in arithmetic", "market.text")),
        ("price.last / market.zero", FormulaFault("division by zero")),
        ("price.last / (1 - 1)", FormulaFault("division by zero")),
        ("price.last - price.last + position.stop", FormulaFault(LAUNDERS)),
        ("price.last / price.last", FormulaFault(LAUNDERS)),
        ("price.last / price.last * 100 + 2", FormulaFault(LAUNDERS)),
        ("market.zero * price.last / price.last", FormulaFault(LAUNDERS)),
        ("position.stop + 100 * 100 / 2", FormulaFault(LAUNDERS)),
        ("position.stop * (1 - 1) + 100", FormulaFault(LAUNDERS)),
        ("price.last + 2 + 2 + 1", FormulaFault(LAUNDERS)),
        ("price.last - (2 - (position.stop - 1))", FormulaFault(LAUNDERS)),
    ],
)
def test_a_formula_without_a_value_says_why(text: str, fault: FormulaFault) -> None:
    assert value(text) == fault


def test_facts_that_happen_to_be_zero_do_not_cancel() -> None:
    facts = {name: Fact(name, Decimal(n), None) for name, n in (("m.up", 8), ("m.down", 0))}
    node = parse("m.up / (m.up + m.down)")
    assert node is not None
    assert evaluate(node, facts) == Amount(Decimal(1), "open")


NUMBERS = st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=-(10**9), max_value=10**9)
TREES = st.recursive(
    st.sampled_from(["m.a", "m.b", "m.c", "1", "2", "100"]),
    lambda part: st.one_of(
        st.tuples(st.sampled_from("+-*/"), part, part), st.tuples(st.just("abs"), part), st.tuples(st.just("-"), part)
    ),
    max_leaves=6,
)


def written(tree: Any) -> str:
    if isinstance(tree, str):
        return tree
    if len(tree) == 2:
        return f"{tree[0]}({written(tree[1])})"
    return f"({written(tree[1])} {tree[0]} {written(tree[2])})"


def worked_out(tree: Any, values: dict[str, Decimal], by: Context) -> Decimal:
    """The value by another way: the tree itself, with Python's own operators in a context of 28 digits."""
    if isinstance(tree, str):
        return values.get(tree) or Decimal(0) if tree.startswith("m.") else Decimal(tree)
    parts = [worked_out(part, values, by) for part in tree[1:]]
    match tree[0], len(parts):
        case "abs", _:
            return by.abs(parts[0])
        case "-", 1:
            return by.minus(parts[0])
        case "+", _:
            return by.add(*parts)
        case "-", _:
            return by.subtract(*parts)
        case "*", _:
            return by.multiply(*parts)
    return by.divide(*parts)


@given(TREES, st.tuples(NUMBERS, NUMBERS, NUMBERS))
def test_a_formula_comes_to_what_decimal_arithmetic_gives(tree: Any, numbers: tuple[Decimal, Decimal, Decimal]) -> None:
    values = dict(zip(("m.a", "m.b", "m.c"), numbers, strict=True))
    node = parse(written(tree))
    if node is None:
        return
    found = evaluate(node, {name: Fact(name, number, None) for name, number in values.items()})
    by = Context(28, ROUND_HALF_EVEN, traps=[DivisionByZero, InvalidOperation, Overflow])
    try:
        expected = worked_out(tree, values, by)
    except (DivisionByZero, InvalidOperation):
        assert found == FormulaFault("division by zero")
        return
    assert found == FormulaFault(LAUNDERS) or (isinstance(found, Amount) and found.value == expected)


@given(st.text("price.last[](){}+-*/ 12abs'\"", max_size=60))
def test_no_text_raises(text: str) -> None:
    node = parse(text)
    assert node is None or isinstance(evaluate(node, FACTS), Amount | FormulaFault)


def test_numbers_of_any_size_are_worked_out() -> None:
    found = value("market.huge * market.huge * market.huge / price.last")
    assert isinstance(found, Amount)
    assert found.value.adjusted() == 921
