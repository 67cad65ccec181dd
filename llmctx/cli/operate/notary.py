"""`llmctx notary`: the notary alone."""

import asyncio
import contextlib
from typing import TYPE_CHECKING, Annotated

import typer
from redis.asyncio import Redis

from llmctx import clock
from llmctx.cli.shared.alerting import service_alerts
from llmctx.cli.shared.long_running import stop_signal
from llmctx.cli.shared.options import AsJson, RedisUrl, StateDir
from llmctx.cli.shared.output import messages, out, print_json
from llmctx.cli.shared.setup import redis_of, settings_for
from llmctx.settings import Settings

if TYPE_CHECKING:
    from llmctx.trail.proof.checkpoint import Checkpoint

_POLL_S = 0.5


def notary(
    redis_url: RedisUrl = None,
    state_dir: StateDir = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Print every checkpoint.")] = False,
    as_json: AsJson = False,
) -> None:
    """Run the notary alone, which signs what is recorded.

    `llmctx run` contains a notary. Run this one instead, on the same state directory, if workers must not be able to
    read STATE_DIR/keys. It makes its key at the first start; `llmctx key` prints the public half. While another notary
    holds the anchor, it waits. On SIGTERM or Ctrl-C it signs all durable records and exits with 0. It exits with 1 if
    Redis contradicts the anchor.

    \b
    llmctx notary --verbose
    """
    asyncio.run(_notary(settings_for(redis_url, state_dir), verbose=verbose, as_json=as_json))


async def _notary(settings: Settings, *, verbose: bool, as_json: bool) -> None:
    from llmctx.trail.log.instance import bind_instance
    from llmctx.trail.proof.key import load_notary_key
    from llmctx.trail.proof.notary_service import serve_notary
    from llmctx.trail.proof.replaced import refuse_new_key

    def show(checkpoint: "Checkpoint") -> None:
        if as_json:
            print_json({"origin": checkpoint.origin, "size": checkpoint.size, "time_ms": checkpoint.time_ms})
        elif verbose:
            out.print(f"[dim]{clock.iso(checkpoint.time_ms)}[/] {checkpoint.origin} {checkpoint.size}")

    stop = stop_signal()
    async with redis_of(settings) as (redis, _):
        if not await _trail_exists(redis, settings, stop):
            return
        instance, _ = await bind_instance(redis, settings.state_dir)
        refuse_new_key(settings.state_dir, instance.id)
        public = load_notary_key(settings.state_dir, instance.id).key
        if not as_json:
            out.print(f"Signing with {public.text}. Ctrl-C stops it.")
        async with service_alerts(settings, redis, instance):
            await serve_notary(redis, instance, settings.state_dir, stop, on_checkpoint=show)


async def _trail_exists(redis: Redis, settings: Settings, stop: asyncio.Event) -> bool:
    """Wait until there is a trail; False if `stop` is set first."""
    from llmctx.trail.log.instance import read_instance, read_state_instance

    warned = False
    while await read_instance(redis) is None and read_state_instance(settings.state_dir) is None:
        if not warned:
            messages.warning("This Redis has no trail yet. Waiting for one.")
            warned = True
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), _POLL_S)
            return False
    return True
