"""A budget of one process in tokens and money. Each call reserves the most that it may use, so calls under way cannot
exceed it together.
"""

from collections.abc import Mapping
from decimal import Decimal

from llmctx.errors import ReplayError
from llmctx.llm.budget import Spending, most_tokens
from llmctx.llm.price import BATCH_SHARE, Price, price_of
from llmctx.llm.usage import Usage
from llmctx.prompt.render import Prompt

_DEFAULT_ANSWER_TOKENS = 2000
"""Reserved for an answer whose length the prompt does not limit."""
_ZERO = Decimal(0)


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
        self._reserved = Spending()
        self.tokens = 0
        """Tokens used so far."""
        self.cost = _ZERO
        """Money spent so far, as far as prices are known."""

    def price(self, *models: str | None) -> Price | None:
        """Return the price of the first of these models that has one."""
        return price_of(self._prices, *models)

    def reserve(self, model: str, prompt: Prompt) -> Spending | None:
        """Reserve the most that a call may use; None if the budget does not suffice.

        Raises ReplayError if the budget is in money and the model has no price.
        """
        price = self.price(model)
        if price is None and self._cost is not None:
            raise ReplayError(
                f"The budget is in money, but there is no price for {model!r}.",
                f'Set it in llmctx.toml: [prices."{model}"] input = ... output = ... (per million tokens).',
            )
        usage = most_tokens(prompt) or Usage(len(prompt.evidence), _DEFAULT_ANSWER_TOKENS)
        needed = Spending(usage.prompt + usage.completion, _ZERO if price is None else price.most(usage) * self._share)
        together = self._reserved.plus(needed)
        if self._tokens is not None and self.tokens + together.tokens > self._tokens:
            return None
        if self._cost is not None and self.cost + together.cost > self._cost:
            return None
        self._reserved = together
        return needed

    def release(self, reservation: Spending) -> None:
        """Release the reservation of a call that is over."""
        self._reserved = self._reserved.plus(reservation, -1)

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

    def count_unknown(self, reservation: Spending) -> None:
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
