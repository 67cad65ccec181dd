"""A budget: how many tokens, and how much money, a replay may spend. Room is set aside before each call."""

from collections.abc import Mapping
from decimal import Decimal
from typing import NamedTuple

from llmctx.errors import ReplayError
from llmctx.llm.completion import Usage
from llmctx.llm.price import BATCH_SHARE, Price, price_of
from llmctx.prompt.render import Prompt

_BYTES_A_TOKEN = 3
_LONGEST_ANSWER = 2000
_NOTHING = Decimal(0)


class Room(NamedTuple):
    """What is set aside for one call."""

    tokens: int
    """At most so many."""
    cost: Decimal
    """At most so much."""


class Budget:
    """Counts what calls use; None has no limit."""

    def __init__(
        self,
        tokens: int | None = None,
        cost: Decimal | None = None,
        *,
        prices: Mapping[str, Price] | None = None,
        batch: bool = False,
    ) -> None:
        """`prices` by model; `batch` counts at the price of a provider's batch."""
        self._tokens, self._cost = tokens, cost
        self._prices = prices or {}
        self._share = BATCH_SHARE if batch else Decimal(1)
        self._aside = Room(0, _NOTHING)
        self.tokens = 0
        """Tokens used so far."""
        self.cost = _NOTHING
        """Money used so far, as far as prices are known."""

    def price(self, *models: str | None) -> Price | None:
        """The price of the first of these models that has one."""
        return price_of(self._prices, *models)

    def set_aside(self, model: str, prompt: Prompt) -> Room | None:
        """Room for a call, by a high estimate; None where the budget has no room for it.

        Raises ReplayError for a budget in money and a model without a price.
        """
        price = self.price(model)
        if price is None and self._cost is not None:
            raise ReplayError(
                f"There is a budget in money, and no price for {model!r}.",
                f'Set it in llmctx.toml: [prices."{model}"] input = ... output = ... (per million tokens).',
            )
        answer = prompt.parameters.max_completion_tokens or prompt.parameters.max_tokens or _LONGEST_ANSWER
        usage = Usage(len(prompt.evidence) // _BYTES_A_TOKEN + 1, answer, 0, 0)
        room = Room(usage.prompt + answer, _NOTHING if price is None else price.of(usage) * self._share)
        if self._tokens is not None and self.tokens + self._aside.tokens + room.tokens > self._tokens:
            return None
        if self._cost is not None and self.cost + self._aside.cost + room.cost > self._cost:
            return None
        self._aside = Room(self._aside.tokens + room.tokens, self._aside.cost + room.cost)
        return room

    def settle(self, room: Room) -> None:
        """Give back what was set aside: the call is over."""
        self._aside = Room(self._aside.tokens - room.tokens, self._aside.cost - room.cost)

    def count(self, usage: Usage | None, *models: str | None) -> Decimal | None:
        """Count what a call used; its cost, None where no price is known."""
        if usage is None:
            return None
        self.tokens += usage.prompt + usage.completion
        price = self.price(*models)
        if price is None:
            return None
        cost = price.of(usage) * self._share
        self.cost += cost
        return cost

    @property
    def waits(self) -> bool:
        """Whether calls are under way that may give back room."""
        return self._aside.tokens > 0

    def __str__(self) -> str:
        limits = [] if self._tokens is None else [f"{self._tokens} tokens"]
        limits += [] if self._cost is None else [f"{self._cost} in money"]
        return " and ".join(limits) or "no limit"
