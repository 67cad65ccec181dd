"""What tokens cost: a price a model, by which calls are counted in money."""

from collections.abc import Mapping
from decimal import Decimal

from pydantic import BaseModel, ConfigDict, Field

from llmctx.llm.completion import Usage

_PER = Decimal(1_000_000)
BATCH_SHARE = Decimal("0.5")
"""What a provider's batch takes of the price."""


class Price(BaseModel):
    """What one model costs, in units of money per million tokens."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    input: Decimal = Field(ge=0)
    """Tokens read."""
    cached: Decimal | None = Field(None, ge=0)
    """Tokens read that came from the provider's cache; None costs as much as others."""
    output: Decimal = Field(ge=0)
    """Tokens written, thinking included."""

    def of(self, usage: Usage) -> Decimal:
        """What a call costs."""
        cached = self.input if self.cached is None else self.cached
        fresh = max(0, usage.prompt - usage.cached)
        return (fresh * self.input + usage.cached * cached + usage.completion * self.output) / _PER


def price_of(prices: Mapping[str, Price], *models: str | None) -> Price | None:
    """The price of the first of these models that has one."""
    return next((prices[model] for model in models if model is not None and model in prices), None)
