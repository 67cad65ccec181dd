"""What the console and its reports show, from the settings."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from redis.asyncio import Redis

from llmctx.assets import asset
from llmctx.cli.shared.decision_config import trail_rules
from llmctx.cli.shared.setup import redis_of
from llmctx.cli.shared.sources import copy_in
from llmctx.console.access import Proxy
from llmctx.console.subject import Live, Subject, copy_subject, live_subject
from llmctx.ops.doctor.subject import Places
from llmctx.settings import Settings
from llmctx.trail.log.instance import Instance, require_instance
from llmctx.trail.log.people import rows_beside, show_people


@asynccontextmanager
async def subject_of(
    settings: Settings, where: str | None, replays: Path | None = None, *, command: str = "console"
) -> AsyncIterator[Subject]:
    """The subject named by --from, or the live system; `command` is named in errors.

    Raises TrailError if it has no trail, or cannot be read; ServerError if no usable server answers.
    """
    if where is not None:
        show_people(rows_beside(where, settings.state_dir))
        yield copy_subject(copy_in(where, command), settings.prices, replays)
        return
    async with redis_of(settings) as (redis, url):
        yield await live_subject_of(settings, redis, url, await require_instance(redis), replays)


async def live_subject_of(
    settings: Settings, redis: Redis, url: str, instance: Instance, replays: Path | None = None
) -> Subject:
    """The subject of a live system whose server is open."""
    places = Places(settings.state_dir, asset("redis.conf"), Path("backups"), settings.prompts)
    live = Live(redis, url, instance, await trail_rules(redis, settings), places, settings.people)
    return live_subject(live, settings.archive, settings.prices, replays)


def proxy_of(settings: Settings) -> Proxy | None:
    """The proxy in front of the console; None without one."""
    given = settings.console
    return None if given.address is None else Proxy(given.proxies, given.user_header, given.address)
