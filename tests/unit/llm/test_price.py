from decimal import Decimal

import pytest
from pydantic import ValidationError

from llmctx.llm.price import Price, price_of
from llmctx.llm.usage import Usage

PRICE = Price(input=Decimal("2.5"), cached=Decimal("1.25"), output=Decimal(10))


def test_a_call_costs_what_it_read_and_wrote() -> None:
    assert PRICE.of(Usage(prompt=1000, completion=200, cached=768, reasoning=64)) == Decimal("0.00354")


def test_cached_tokens_cost_as_much_as_others_where_nothing_else_is_said() -> None:
    assert Price(input=Decimal(1), output=Decimal(0)).of(Usage(1_000_000, 5, 400, 0)) == 1


def test_the_model_that_served_is_priced_before_the_one_that_was_asked() -> None:
    prices = {"a": PRICE, "b": Price(input=Decimal(1), output=Decimal(1))}
    assert price_of(prices, None, "b", "a") == prices["b"]
    assert price_of(prices, "c", "a") == PRICE
    assert price_of(prices, "c") is None


def test_no_price_is_negative() -> None:
    with pytest.raises(ValidationError):
        Price(input=Decimal(-1), output=Decimal(1))
