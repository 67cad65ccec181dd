"""A budget in tokens and money. Each call reserves a high estimate first, so calls under way cannot overrun it."""

from collections.abc import Mapping
from decimal import Decimal
from typing import NamedTuple

from llmctx.errors import ReplayError
from llmctx.llm.price import BATCH_SHARE, Price, price_of
from llmctx.llm.usage import Usage
from llmctx.prompt.render import Prompt

_BYTES_PER_TOKEN = 3
_DEFAULT_ANSWER_TOKENS = 2000
"""Reserved for an answer whose length the prompt does not limit."""
_ZERO = Decimal(0)


class Reservation(NamedTuple):
    """What is reserved for one call."""

    tokens: int
    """The most tokens that it may use."""
    cost: Decimal
    """The most money that it may cost."""


class Budget:
    """Limits, reservations and use. A limit of None does not restrict."""

    def __init__(
        self,
        tokens: int | None = None,
        cost: Decimal | None = None,
        *,
        prices: Mapping[str, Price] | None = None,
        batch: bool = False,
    ) -> None:
        """`prices` are by model; `batch` applies the discount of batches."""
        self._tokens, self._cost = tokens, cost
        self._prices = prices or {}
        self._share = BATCH_SHARE if batch else Decimal(1)
        self._reserved = Reservation(0, _ZERO)
        self.tokens = 0
        """Tokens used so far."""
        self.cost = _ZERO
        """Money spent so far, as far as prices are known."""

    def price(self, *models: str | None) -> Price | None:
        """Return the price of the first of these models that has one."""
        return price_of(self._prices, *models)

    def reserve(self, model: str, prompt: Prompt) -> Reservation | None:
        """Reserve a high estimate of what a call needs; None if the budget does not suffice.

        Raises ReplayError if the budget is in money and the model has no price.
        """
        price = self.price(model)
        if price is None and self._cost is not None:
            raise ReplayError(
                f"The budget is in money, but there is no price for {model!r}.",
                f'Set it in llmctx.toml: [prices."{model}"] input = ... output = ... (per million tokens).',
            )
        answer = prompt.parameters.max_completion_tokens or prompt.parameters.max_tokens or _DEFAULT_ANSWER_TOKENS
        usage = Usage(len(prompt.evidence) // _BYTES_PER_TOKEN + 1, answer, 0, 0)
        needed = Reservation(usage.prompt + answer, _ZERO if price is None else price.of(usage) * self._share)
        if self._tokens is not None and self.tokens + self._reserved.tokens + needed.tokens > self._tokens:
            return None
        if self._cost is not None and self.cost + self._reserved.cost + needed.cost > self._cost:
            return None
        self._reserved = Reservation(self._reserved.tokens + needed.tokens, self._reserved.cost + needed.cost)
        return needed

    def release(self, reservation: Reservation) -> None:
        """Release the reservation of a call that is over."""
        self._reserved = Reservation(self._reserved.tokens - reservation.tokens, self._reserved.cost - reservation.cost)

    def count(self, usage: Usage | None, *models: str | None) -> Decimal | None:
        """Count what a call used and return its cost, None if no price is known."""
        if usage is None:
            return None
        self.tokens += usage.prompt + usage.completion
        price = self.price(*models)
        if price is None:
            return None
        cost = price.of(usage) * self._share
        self.cost += cost
        return cost

    def count_unknown(self, reservation: Reservation) -> None:
        """Count a call whose tokens are unknown as all that was reserved for it."""
        self.tokens += reservation.tokens
        self.cost += reservation.cost

    @property
    def has_reservations(self) -> bool:
        """Whether calls are under way that may release part of what they reserved."""
        return self._reserved.tokens > 0

    def __str__(self) -> str:
        limits = [] if self._tokens is None else [f"{self._tokens} tokens"]
        limits += [] if self._cost is None else [f"a cost of {self._cost}"]
        return " and ".join(limits) or "no limit"
