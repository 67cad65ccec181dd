"""From settings to the server and its trail."""

from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

from redis.asyncio import Redis

from llmctx.cli.shared.logs import LogFormat, hide_in_logs, show_debug_logs, show_logs
from llmctx.cli.shared.secrets import secrets_of
from llmctx.connection import open_redis
from llmctx.errors import ServerError
from llmctx.ops.server import EmbeddedServer
from llmctx.settings import Settings, load_settings
from llmctx.trail.log.instance import Instance, read_instance, require_instance
from llmctx.trail.log.people import PEOPLE_KEY, NameTable, show_people
from llmctx.worker.broken_step import dispensable
from llmctx.worker.home import TrailHome, bind_home

_DAY_MS = 86_400_000
EMBEDDED = "embedded:"
"""The prefix of an address that names a folder for an embedded server."""


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
    if settings.log_level == "debug":
        show_debug_logs()
    settings = settings.model_copy(update={"llm": settings.llm.chosen(endpoint, model)})
    hide_in_logs(secrets_of(settings))
    return settings


@asynccontextmanager
async def redis_of(settings: Settings, *, makes_folder: bool = False) -> AsyncIterator[tuple[Redis, str]]:
    """A client of the configured server, and the server's address; embedded:DIR starts a server, on a folder that is
    there unless `makes_folder` is set.

    Raises ServerError if no usable server answers.
    """
    with ExitStack() as stack:
        url = settings.redis_url
        if url.startswith(EMBEDDED):
            directory = Path(url.removeprefix(EMBEDDED))
            url = stack.enter_context(_embedded(directory, makes_folder=makes_folder)).url
        async with open_redis(url) as redis:
            yield redis, url


@asynccontextmanager
async def open_trail(settings: Settings) -> AsyncIterator[tuple[Redis, Instance]]:
    """A client of the configured server, and the instance of its trail.

    Raises ServerError if no usable server answers, TrailError if it has no trail.
    """
    async with redis_of(settings) as (redis, _):
        instance = await require_instance(redis)
        await _show_people(NameTable(redis, settings.state_dir))
        yield redis, instance


async def _show_people(table: NameTable) -> None:
    with dispensable(f"Reading the table of people in {PEOPLE_KEY}", "People are shown by their ids"):
        show_people(await table.rows())


def _embedded(directory: Path, *, makes_folder: bool) -> EmbeddedServer:
    if str(directory).startswith("//") or set(str(directory)) & set("@:?#"):
        raise ServerError(
            "embedded: takes a folder, but an address follows.",
            "Write embedded:DIR, or the address of a server alone. It is not shown, because it may hold a password.",
            exit_code=2,
        )
    if not directory.is_dir() and not makes_folder:
        raise ServerError(
            f"There is no data of an embedded server in {directory}.",
            "Name the folder that `llmctx redis --dir` or the demo wrote, relative to the current directory.",
        )
    return EmbeddedServer(directory)


async def home_of(settings: Settings, redis: Redis, url: str, *, new_instance: bool = False) -> TrailHome:
    """The trail of the configured server and state directory, with the settings about it.

    Raises as `bind_home` does.
    """
    home = await bind_home(redis, url, settings.state_dir, partitions=settings.partitions, new_instance=new_instance)
    await _show_people(home.names)
    kept_ms = settings.ticks_kept_d * _DAY_MS
    return home._replace(replicas=settings.replicas, ticks_kept_ms=kept_ms, people=settings.people)


@asynccontextmanager
async def open_existing_home(settings: Settings) -> AsyncIterator[TrailHome]:
    """The same, for a server that already has a trail.

    Raises ServerError if no usable server answers, TrailError if it has no trail, otherwise as `bind_home` does.
    """
    async with redis_of(settings) as (redis, url):
        await require_instance(redis)
        yield await home_of(settings, redis, url)


async def partitions_of(redis: Redis, settings: Settings) -> int:
    """How many partitions the trail has, or will have once it is created."""
    instance = await read_instance(redis)
    return settings.partitions if instance is None else instance.partitions
