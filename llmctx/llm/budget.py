"""What a call may use at most, and what it used: the arithmetic of every budget.

A budget reserves the maximum before a call and counts the actual use after it, so that calls under way cannot exceed it
together. A token takes at least one byte, so the bytes of a request are an upper bound of its tokens.
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple, Protocol

from llmctx.llm.budget_limits import DailyBudget
from llmctx.llm.completion import Attempt, Completion, Outcome
from llmctx.llm.output import OutputSchema
from llmctx.llm.price import Price, price_of
from llmctx.llm.request import LENGTH_LIMITS, RequestPlan
from llmctx.llm.usage import Usage
from llmctx.prompt.render import Prompt
from llmctx.prompt.template import Parameters

ADDED_BY_ENDPOINT = 1000
"""The most tokens that endpoints are known to add to a request: Anthropic's instructions for tools take up to 700."""
_PERHAPS_CHARGED = frozenset({"http 408", "http 500", "http 502", "http 504"})
_NOT_SENT = frozenset({Outcome.LIMITED, Outcome.UNREACHABLE})
"""The outcomes of a call without attempts that are certain to have sent nothing."""
_ZERO = Decimal(0)


class Spending(NamedTuple):
    """Tokens and money: used, or the most that may be used."""

    tokens: int = 0
    """Tokens of prompts and completions."""
    cost: Decimal = _ZERO
    """Money, in the currency of the prices; 0 if no price is known."""

    def plus(self, other: "Spending", times: int = 1) -> "Spending":
        """The sum; with `times` -1 the difference."""
        return Spending(self.tokens + times * other.tokens, self.cost + times * other.cost)


PlanRequest = Callable[[Parameters, OutputSchema], RequestPlan]
"""Works out the request of one endpoint for a prompt with these parameters."""


class CallCost:
    """What one call may use at most, whichever endpoint answers, and what it used."""

    def __init__(
        self, prices: Mapping[str, Price], plans: Sequence[PlanRequest] = (), *, model: str | None = None
    ) -> None:
        """`plans` work out the request of each endpoint that may be asked; without one the request is the prompt alone,
        and `model` is the one that is asked.
        """
        self._prices, self._plans, self._model = prices, plans, model

    def unpriced(self, output: OutputSchema) -> list[str]:
        """The models that may be asked and have no price."""
        models = [str(plan(Parameters(), output).kept["model"]) for plan in self._plans] or [str(self._model)]
        return [model for model in models if model not in self._prices]

    def is_bounded(self, parameters: Parameters, output: OutputSchema) -> bool:
        """Whether every request limits the length of the answer."""
        return all(_answer_limits(parameters, plan) for plan in self._requests(parameters, output))

    def most(self, prompt: Prompt, output: OutputSchema) -> Spending | None:
        """The most that a call may use; None if nothing limits the length of its answer."""
        tokens, cost = 0, _ZERO
        for plan in self._requests(prompt.parameters, output):
            if (usage := most_tokens(prompt, plan)) is None:
                return None
            price = price_of(self._prices, self._model if plan is None else plan.kept["model"])
            tokens = max(tokens, usage.prompt + usage.completion)
            cost = max(cost, _ZERO if price is None else price.most(usage))
        return Spending(tokens, cost)

    def _requests(self, parameters: Parameters, output: OutputSchema) -> Sequence[RequestPlan | None]:
        return [plan(parameters, output) for plan in self._plans] or [None]

    def used(self, completion: Completion, most: Spending) -> Spending:
        """What a call used at all endpoints tried. An attempt with an unknown result counts as the maximum."""
        models = (completion.model, completion.request.get("model"), self._model)
        if completion.attempts or completion.usage is not None or completion.outcome in _NOT_SENT:
            spent = self._of(completion.attempts, completion.usage, most, *models)
        else:
            spent = most
        for tried in completion.tried:
            spent = spent.plus(self._of(tried.attempts, tried.usage, most, tried.model))
        return spent

    def _of(self, attempts: Sequence[Attempt], usage: Usage | None, most: Spending, *models: str | None) -> Spending:
        """What these attempts at one endpoint used; `usage` is that of the last."""
        unknown = [_is_unknown(attempt.result) for attempt in attempts]
        if usage is None:
            return Spending(most.tokens * sum(unknown), most.cost * sum(unknown))
        price, earlier = price_of(self._prices, *models), sum(unknown[:-1])
        cost = _ZERO if price is None else price.of(usage)
        return Spending(usage.prompt + usage.completion + most.tokens * earlier, cost + most.cost * earlier)


class BudgetTerms(NamedTuple):
    """A daily budget, and what one call may cost."""

    limits: DailyBudget
    """The limits."""
    cost: CallCost
    """What a call may use at most, and what it used."""
    output: OutputSchema
    """The parameters of every call."""


class CallBudget(Protocol):
    """Anything that permits calls, and counts what they used."""

    async def reserve(self, symbol: str, prompt: Prompt) -> "Reserved | str":
        """Reserve the most that a call may use; the reason why it may not be made if the budget does not suffice."""
        ...

    async def settle(self, reserved: "Reserved", completion: Completion) -> None:
        """Count what a call used instead of what was reserved for it; a failure leaves the reservation."""
        ...


class Reserved(NamedTuple):
    """A reservation for one call."""

    id: str
    """Its name in the budget."""
    most: Spending
    """What was reserved."""


def most_tokens(prompt: Prompt, plan: RequestPlan | None = None) -> Usage | None:
    """The most tokens that a call may use; None if nothing limits the length of its answer. Without a plan the request
    is the prompt alone.
    """
    size = len(prompt.evidence) if plan is None else len(plan.body(plan.messages(prompt)))
    limits = _answer_limits(prompt.parameters, plan)
    return Usage(size + ADDED_BY_ENDPOINT, max(limits)) if limits else None


def _answer_limits(parameters: Parameters, plan: RequestPlan | None) -> list[int]:
    sent = parameters.model_dump(exclude_none=True) if plan is None else plan.kept["parameters"]
    return [int(sent[name]) for name in LENGTH_LIMITS if name in sent]


def _is_unknown(result: str) -> bool:
    """Whether an attempt may have been charged: no reply came, or one that does not say so."""
    refused = result == "limited" or (result.startswith("http ") and not result.startswith("http 2"))
    return not refused or result in _PERHAPS_CHARGED
