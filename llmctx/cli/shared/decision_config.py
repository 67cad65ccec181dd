"""From settings to decisions: the prompt, the endpoint, the rules and the daily budget."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from redis.asyncio import Redis

from llmctx.cli.shared.endpoints import clients_of, completer_of, share_limits
from llmctx.cli.shared.setup import redis_of
from llmctx.context.read_rules import ReadRules
from llmctx.context.snapshot import clock_of
from llmctx.decision.decision import OUTPUT
from llmctx.decision.verdict import GuardPolicy
from llmctx.errors import BudgetError, EndpointError, LlmctxError, TemplateError
from llmctx.llm.budget import BudgetTerms, CallCost
from llmctx.llm.client import NoEndpoint
from llmctx.llm.completion import Completer
from llmctx.pipeline import DecisionConfig, check_output
from llmctx.prompt.book import PromptBook
from llmctx.prompt.render import unknown_names
from llmctx.prompt.template import Template
from llmctx.settings import Settings
from llmctx.trail.log.instance import agreed


def rules_of(settings: Settings) -> ReadRules:
    """Which sections are read, the age at which each is stale, and the clock if one is set."""
    clock = None if settings.clock == "auto" else settings.clock
    return ReadRules(
        signal_types=settings.signal_types,
        max_age_s=settings.limits_s,
        stale_stop_factor=settings.stale_stop_factor,
        clock=clock,
        timeframes=bool(settings.timeframes),
        memory=settings.memory,
        portfolio=_portfolio_of(settings),
        sections=settings.mapping,
    )


def _portfolio_of(settings: Settings) -> tuple[str, ...] | None:
    """The symbols whose positions make the portfolio, none of them for portfolio:current; None without a portfolio."""
    if settings.portfolio == "positions" and not settings.portfolio_symbols:
        raise LlmctxError(
            "The portfolio is to be joined from positions, but portfolio_symbols names none.",
            'Name the symbols that may be held, or write portfolio:current and set portfolio = "key".',
        )
    return {"off": None, "key": (), "positions": settings.portfolio_symbols}[settings.portfolio]


async def trail_rules(redis: Redis, settings: Settings) -> ReadRules:
    """The same with the trail's clock, once it has one.

    Raises TrailError if the server does not answer.
    """
    rules = rules_of(settings)
    return rules.model_copy(update={"clock": clock_of(await agreed(redis, "clock")) or rules.clock})


def _check_for_service(template: Template) -> None:
    """Check a template that every tick uses.

    Raises TemplateError if it asks for another output than a decision, or uses a name that no package has.
    """
    check_output(template)
    if unknown := unknown_names(template):
        # The service would skip every tick because of it.
        raise TemplateError(
            f"{template.ref} uses {', '.join(unknown)}, which no package has.",
            "Use the names in docs/concepts.md; `llmctx context SYMBOL --prompt NAME` shows the rendered prompt.",
        )


@asynccontextmanager
async def deciding(
    settings: Settings, *, need_endpoint: bool = False
) -> AsyncIterator[tuple[DecisionConfig, Redis, str]]:
    """The results of `config_of` and of `redis_of`; the endpoints keep their rate limits on that server. Raises as
    these do.
    """
    async with config_of(settings, need_endpoint=need_endpoint) as config, redis_of(settings) as (redis, url):
        share_limits(config.completer, redis)
        yield config, redis, url


@asynccontextmanager
async def config_of(settings: Settings, *, need_endpoint: bool = False) -> AsyncIterator[DecisionConfig]:
    """Prompt, endpoint and rules for decisions; the endpoint's client is closed at the end.

    With `need_endpoint`, raises EndpointError if none is configured, and TemplateError if the prompt uses a name that
    no package has. Raises BudgetError or TemplateError if the daily budget cannot be kept.
    """
    client = completer_of(settings)
    if need_endpoint and isinstance(client, NoEndpoint):
        raise EndpointError(
            "No LLM endpoint is configured.",
            "Set LLMCTX_LLM__BASE_URL and LLMCTX_LLM__MODEL, or give --endpoint and --model. To try it out, start "
            "`llmctx standin --port 8700` and use http://127.0.0.1:8700/v1 and llmctx-standin.",
        )
    budget = budget_of(settings, client)

    def accept(template: Template) -> None:
        (_check_for_service if need_endpoint else check_output)(template)
        check_answer_limit(template, budget)

    prompts = PromptBook(
        settings.prompts, settings.prompt, settings.prompt_by_symbol, state_dir=settings.state_dir, accept=accept
    )
    policy = GuardPolicy(
        confidence_floor=settings.confidence_floor,
        grounding=settings.grounding,
        unconfirmed_stop=settings.unconfirmed_stop,
        mandate=settings.mandate,
        approval=None if settings.require_approval.is_empty else settings.require_approval,
    )
    try:
        yield DecisionConfig(
            prompts,
            client,
            rules_of(settings),
            policy,
            reask_misfits=settings.reask_misfits,
            answer_within_s=settings.llm.timeout_s,
            budget=budget,
            trigger=settings.trigger,
        )
    finally:
        await client.aclose()


def budget_of(settings: Settings, completer: Completer) -> BudgetTerms | None:
    """The daily budget with what a call may cost; None without a budget.

    Raises BudgetError if the budget is in money and the model has no price.
    """
    budget = settings.daily_budget
    if budget is None:
        return None
    plans = [client.plan for client in clients_of(completer)]
    cost = CallCost(settings.prices, plans, model=settings.llm.model)
    if (unpriced := cost.unpriced(OUTPUT)) and any(limits.cost is not None for limits in budget.parts):
        raise BudgetError(
            f"The daily budget is in money, but there is no price for {unpriced[0]!r}.",
            f'Set it in llmctx.toml: [prices."{unpriced[0]}"] input = ... output = ... (per million tokens).',
        )
    return BudgetTerms(budget, cost, OUTPUT)


def check_answer_limit(template: Template, terms: BudgetTerms | None) -> None:
    """Check that the maximum use of a call is known, if the budget is in tokens or money.

    Raises TemplateError if nothing limits the length of the answer.
    """
    if terms is None or not any(limits.bound_needed for limits in terms.limits.parts):
        return
    if not terms.cost.is_bounded(template.front_matter.parameters, terms.output):
        raise TemplateError(
            f"{template.ref} does not limit its answer, but the daily budget is in tokens or money.",
            "Add max_completion_tokens to the parameters in its front matter.",
        )
