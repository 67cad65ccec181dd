"""The daily budget of the settings, checked before the first call."""

from llmctx.decision.decision import OUTPUT
from llmctx.errors import BudgetError, TemplateError
from llmctx.llm.budget import BudgetTerms, CallCost
from llmctx.llm.client import EndpointClient
from llmctx.llm.completion import Completer
from llmctx.llm.fallback import EndpointChain
from llmctx.prompt.template import Template
from llmctx.settings import Settings


def budget_of(settings: Settings, completer: Completer) -> BudgetTerms | None:
    """The daily budget with what a call may cost; None without a budget.

    Raises BudgetError if the budget is in money and the model has no price.
    """
    budget = settings.daily_budget
    if budget is None:
        return None
    clients = [each.completer for each in completer.endpoints] if isinstance(completer, EndpointChain) else [completer]
    plans = [client.plan for client in clients if isinstance(client, EndpointClient)]
    cost = CallCost(settings.prices, plans, model=settings.llm.model)
    if (unpriced := cost.unpriced(OUTPUT)) and any(limits.cost is not None for limits in budget.parts):
        raise BudgetError(
            f"The daily budget is in money, but there is no price for {unpriced[0]!r}.",
            f'Set it in llmctx.toml: [prices."{unpriced[0]}"] input = ... output = ... (per million tokens).',
        )
    return BudgetTerms(budget, cost, OUTPUT)


def check_answer_limit(template: Template, terms: BudgetTerms | None) -> None:
    """Check that the most that a call may use is known, where the budget is in tokens or money.

    Raises TemplateError if nothing limits the length of the answer.
    """
    if terms is None or not any(limits.bound_needed for limits in terms.limits.parts):
        return
    if not terms.cost.is_bounded(template.front_matter.parameters, terms.output):
        raise TemplateError(
            f"{template.ref} does not limit its answer, but the daily budget is in tokens or money.",
            "Add max_completion_tokens to the parameters in its front matter.",
        )
