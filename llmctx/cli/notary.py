"""The command that only signs: notary."""

import asyncio
import contextlib
from typing import Annotated

import typer

from llmctx import clock
from llmctx.cli.options import AsJson, RedisUrl, StateDir
from llmctx.cli.output import out, print_json, warn
from llmctx.cli.serve import stop_signal
from llmctx.cli.setup import redis_of, settings_for
from llmctx.settings import Settings
from llmctx.trail.proof.checkpoint import Checkpoint


def notary(
    redis_url: RedisUrl = None,
    state_dir: StateDir = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Print every checkpoint.")] = False,
    as_json: AsJson = False,
) -> None:
    """Run the notary alone: anchor and sign what is recorded.

    `llmctx run` has one in it. Run it as a process of its own, in the same state directory, where the workers shall
    not be able to read STATE_DIR/keys. It makes the key at its first start; `llmctx key` shows it. Where another one
    has the anchor, it waits. On SIGTERM or Ctrl-C it signs what is durable and ends with 0; with 1 where Redis
    contradicts the anchor.

    \b
    llmctx notary --verbose
    """
    asyncio.run(_notary(settings_for(redis_url, state_dir), verbose=verbose, as_json=as_json))


async def _notary(settings: Settings, *, verbose: bool, as_json: bool) -> None:
    from llmctx.trail.log.instance import bind_instance, read_instance, read_state_instance
    from llmctx.trail.proof.key import load_or_make_key
    from llmctx.trail.proof.notary_service import serve_notary

    def told(checkpoint: Checkpoint) -> None:
        if as_json:
            print_json({"origin": checkpoint.origin, "size": checkpoint.size, "time_ms": checkpoint.time_ms})
        elif verbose:
            out.print(f"[dim]{clock.iso(checkpoint.time_ms)}[/] {checkpoint.origin} {checkpoint.size}")

    stop = stop_signal()
    async with redis_of(settings) as (redis, _):
        told_waiting = False
        while await read_instance(redis) is None and read_state_instance(settings.state_dir) is None:
            if not told_waiting:
                warn("this Redis has no trail yet; waiting for one")
                told_waiting = True
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), 0.5)
                return
        instance, _ = await bind_instance(redis, settings.state_dir)
        public = load_or_make_key(settings.state_dir, instance.id).key
        if not as_json:
            out.print(f"Signing with {public.text}. Ctrl-C stops it.")
        await serve_notary(redis, instance, settings.state_dir, stop, on_checkpoint=told)
