"""Prices of models, to express calls in money."""

from collections.abc import Mapping
from decimal import Decimal

from pydantic import BaseModel, ConfigDict, Field

from llmctx.llm.usage import Usage

_PER = Decimal(1_000_000)
BATCH_SHARE = Decimal("0.5")
"""The share of the price that batch calls cost."""


class Price(BaseModel):
    """The price of one model, per million tokens."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    input: Decimal = Field(ge=0)
    """Prompt tokens."""
    cached: Decimal | None = Field(None, ge=0)
    """Cached prompt tokens; None means the price of other prompt tokens."""
    cache_write: Decimal | None = Field(None, ge=0)
    """Prompt tokens written to the cache; None means the price of other prompt tokens."""
    output: Decimal = Field(ge=0)
    """Completion tokens, including reasoning."""

    def of(self, usage: Usage) -> Decimal:
        """The cost of a call. Tokens without a known saving from a cache cost the full price."""
        cached, written = usage.cached or 0, usage.cache_write or 0
        cost = max(0, usage.prompt - cached - written) * self.input + usage.completion * self.output
        cost += cached * (self.input if self.cached is None else self.cached)
        return (cost + written * (self.input if self.cache_write is None else self.cache_write)) / _PER

    def most(self, usage: Usage) -> Decimal:
        """The most that a call with so many tokens can cost, whether or not its prompt is cached."""
        dearest = max(self.input, self.cached or 0, self.cache_write or 0)
        return (usage.prompt * dearest + usage.completion * self.output) / _PER


def price_of(prices: Mapping[str, Price], *models: str | None) -> Price | None:
    """Return the price of the first of these models that has one."""
    return next((prices[model] for model in models if model is not None and model in prices), None)
