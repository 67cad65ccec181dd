"""From settings to the parts that a command needs."""

from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

from redis.asyncio import Redis

from llmctx.connection import open_redis
from llmctx.context.snapshot import ReadRules
from llmctx.decision.guards import GuardPolicy
from llmctx.errors import EndpointError, ServerError, TemplateError
from llmctx.llm.client import NO_KEY, EndpointClient, NoEndpoint
from llmctx.ops.server import EmbeddedServer
from llmctx.prompt.render import unknown_names
from llmctx.prompt.template import load_template
from llmctx.settings import LLMSettings, Settings, load_settings
from llmctx.trail.log.instance import Instance, read_instance
from llmctx.worker.session import Asking

_EMBEDDED = "embedded:"


def settings_for(
    redis_url: str | None = None,
    state_dir: Path | None = None,
    *,
    prompt: str | None = None,
    prompts: Path | None = None,
    endpoint: str | None = None,
    model: str | None = None,
) -> Settings:
    """The settings with what the command line gave."""
    settings = load_settings(redis_url=redis_url, state_dir=state_dir, prompt=prompt, prompts=prompts)
    given = {"base_url": endpoint, "model": model}
    llm = LLMSettings.model_validate(
        settings.llm.model_dump() | {name: value for name, value in given.items() if value is not None}
    )
    return settings.model_copy(update={"llm": llm})


@asynccontextmanager
async def redis_of(settings: Settings) -> AsyncIterator[tuple[Redis, str]]:
    """A client for the server of the settings, and the server's address; embedded:DIR starts one.

    Raises ServerError where there is none.
    """
    with ExitStack() as stack:
        url = settings.redis_url
        if url.startswith(_EMBEDDED):
            url = stack.enter_context(_embedded(Path(url.removeprefix(_EMBEDDED)))).url
        async with open_redis(url) as redis:
            yield redis, url


def _embedded(directory: Path) -> EmbeddedServer:
    if not directory.is_dir():
        raise ServerError(
            f"There is no embedded server's data in {directory}.",
            "Name the folder that `llmctx redis --dir` or the demo wrote; it is taken from where you are now.",
        )
    return EmbeddedServer(directory)


async def partitions_of(redis: Redis, settings: Settings) -> int:
    """How many partitions the trail has; before it is made, how many it will get."""
    instance: Instance | None = await read_instance(redis)
    return settings.partitions if instance is None else instance.partitions


def rules_of(settings: Settings) -> ReadRules:
    """What is read, and the limits."""
    return ReadRules(signal_types=settings.signal_types, max_age_s=settings.limits_s)


def client_of(settings: Settings) -> EndpointClient | NoEndpoint:
    """The endpoint's client; a NoEndpoint where none is configured."""
    llm = settings.llm
    if llm.base_url is None and settings.api_key is None:
        return NoEndpoint()
    if llm.model is None:
        raise EndpointError(
            "An LLM endpoint is configured, but no model.",
            "Name one with --model or LLMCTX_LLM__MODEL.",
            exit_code=2,
        )
    return EndpointClient(
        llm.base_url,
        settings.api_key or NO_KEY,
        llm.model,
        timeout_s=llm.timeout_s,
        max_attempts=llm.max_attempts,
    )


@asynccontextmanager
async def asking_of(settings: Settings, *, need_endpoint: bool = False) -> AsyncIterator[Asking]:
    """How decisions are asked for.

    Raises EndpointError without an endpoint where one is needed, TemplateError for a prompt that cannot be used.
    """
    template = load_template(settings.prompts, settings.prompt)
    if need_endpoint and (unknown := unknown_names(template)):
        # a service would skip every tick for it, for good
        raise TemplateError(
            f"{template.ref} asks for {', '.join(unknown)}, which no package has.",
            "Use the names in docs/concepts.md; `llmctx context SYMBOL --prompt NAME` shows a rendering.",
        )
    client = client_of(settings)
    if need_endpoint and isinstance(client, NoEndpoint):
        raise EndpointError(
            "No LLM endpoint is configured.",
            "Set LLMCTX_LLM__BASE_URL and LLMCTX_LLM__MODEL (or --endpoint and --model); for a try-out start "
            "`llmctx standin --port 8700` and name http://127.0.0.1:8700/v1 and llmctx-standin.",
        )
    policy = GuardPolicy(confidence_floor=settings.confidence_floor, grounding=settings.grounding)
    try:
        yield Asking(template, client, rules_of(settings), policy)
    finally:
        await client.aclose()
