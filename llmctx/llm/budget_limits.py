"""What a budget limits, as settings give it: calls, tokens and money a day."""

from pydantic import BaseModel, ConfigDict, Field

from llmctx.schema.fields import Setting


class CallLimits(BaseModel):
    """The most that may be used; None for no limit."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    calls: int | None = Field(None, ge=0)
    """Questions to the model; the attempts of one question on the wire are one call."""
    tokens: int | None = Field(None, ge=0)
    """Tokens of prompts and completions, reasoning included."""
    cost: Setting | None = Field(None, ge=0, le=10**6)
    """Money, in the currency of the prices."""

    @property
    def bound_needed(self) -> bool:
        """Whether the maximum use of a call must be known."""
        return self.tokens is not None or self.cost is not None


class DailyBudget(CallLimits):
    """What the workers of a server may use together from midnight to midnight UTC, by the server's time."""

    per_symbol: CallLimits = CallLimits()
    """What each symbol may use."""
    per_prompt: CallLimits = CallLimits()
    """What each prompt may use, all its versions together."""

    @property
    def parts(self) -> tuple[CallLimits, ...]:
        """Every set of limits."""
        return (self, self.per_symbol, self.per_prompt)

    def scopes(self, symbol: str, prompt: str) -> dict[str, CallLimits]:
        """What counts a call of this symbol and prompt: `all`, `symbol NAME` and `prompt NAME`, where limited."""
        scopes: dict[str, CallLimits] = {"all": self}
        of_one = {f"symbol {symbol}": self.per_symbol, f"prompt {prompt}": self.per_prompt}
        return scopes | {scope: limits for scope, limits in of_one.items() if limits != CallLimits()}
