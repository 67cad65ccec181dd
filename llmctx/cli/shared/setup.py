"""From settings to what a command needs: a server, a trail, an endpoint."""

from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

from redis.asyncio import Redis

from llmctx.cli.shared.budget import budget_of, check_answer_limit
from llmctx.cli.shared.endpoints import chosen, completer_of, share_limits
from llmctx.cli.shared.logs import LogFormat, show_logs
from llmctx.connection import open_redis
from llmctx.context.read_rules import ReadRules
from llmctx.context.snapshot import clock_of
from llmctx.decision.verdict import GuardPolicy
from llmctx.errors import EndpointError, LlmctxError, ServerError, TemplateError
from llmctx.llm.client import NoEndpoint
from llmctx.ops.server import EmbeddedServer
from llmctx.pipeline import DecisionConfig, check_output
from llmctx.prompt.book import PromptBook
from llmctx.prompt.render import unknown_names
from llmctx.prompt.template import Template
from llmctx.settings import Settings, load_settings
from llmctx.trail.log.instance import Instance, agreed, read_instance, require_instance
from llmctx.trail.log.people import NameTable, names_in
from llmctx.visible import show_names
from llmctx.worker.home import TrailHome, bind_home

_DAY_MS = 86_400_000
EMBEDDED = "embedded:"
"""What an address begins with that names a folder for an embedded server."""


def settings_for(
    redis_url: str | None = None,
    state_dir: Path | None = None,
    *,
    prompt: str | None = None,
    prompts: Path | None = None,
    endpoint: str | None = None,
    model: str | None = None,
) -> Settings:
    """The settings, with the command line's values before those of the environment and llmctx.toml."""
    settings = load_settings(redis_url=redis_url, state_dir=state_dir, prompt=prompt, prompts=prompts)
    if settings.log_format == "json":
        show_logs(LogFormat.JSON)
    return settings.model_copy(update={"llm": chosen(settings.llm, endpoint, model)})


@asynccontextmanager
async def redis_of(settings: Settings) -> AsyncIterator[tuple[Redis, str]]:
    """A client of the configured server, and the server's address; embedded:DIR starts a server.

    Raises ServerError if no usable server answers.
    """
    with ExitStack() as stack:
        url = settings.redis_url
        if url.startswith(EMBEDDED):
            url = stack.enter_context(_embedded(Path(url.removeprefix(EMBEDDED)))).url
        async with open_redis(url) as redis:
            yield redis, url


@asynccontextmanager
async def open_trail(settings: Settings) -> AsyncIterator[tuple[Redis, Instance]]:
    """A client of the configured server, and the instance of its trail.

    Raises ServerError if no usable server answers, TrailError if it has no trail.
    """
    async with redis_of(settings) as (redis, _):
        instance = await require_instance(redis)
        show_names(names_in(await NameTable(redis, settings.state_dir).rows()))
        yield redis, instance


def _embedded(directory: Path) -> EmbeddedServer:
    if str(directory).startswith("//") or set(str(directory)) & set("@:?#"):
        raise ServerError(
            "embedded: takes a folder, but an address follows.",
            "Write embedded:DIR, or the address of a server alone. It is not shown, because it may hold a password.",
            exit_code=2,
        )
    if not directory.is_dir():
        raise ServerError(
            f"There is no data of an embedded server in {directory}.",
            "Name the folder that `llmctx redis --dir` or the demo wrote, relative to the current directory.",
        )
    return EmbeddedServer(directory)


async def home_of(settings: Settings, redis: Redis, url: str, *, new_instance: bool = False) -> TrailHome:
    """The trail of the configured server and state directory, with what the settings say of it.

    Raises as `bind_home` does.
    """
    home = await bind_home(redis, url, settings.state_dir, partitions=settings.partitions, new_instance=new_instance)
    show_names(names_in(await home.names.rows()))
    kept_ms = settings.ticks_kept_d * _DAY_MS
    return home._replace(replicas=settings.replicas, ticks_kept_ms=kept_ms, people=settings.people)


async def partitions_of(redis: Redis, settings: Settings) -> int:
    """How many partitions the trail has, or will have once it is created."""
    instance = await read_instance(redis)
    return settings.partitions if instance is None else instance.partitions


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
    """Check a template that every tick is asked with.

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
    """What `config_of` gives, and what `redis_of` gives: its endpoints keep their limits of a minute on that server.

    Raises as these do.
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
