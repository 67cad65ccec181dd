"""`llmctx watch`: one symbol, live."""

import asyncio
from typing import Annotated

import typer

from llmctx.cli.shared.options import AsJson, RedisUrl, StateDir, Symbol
from llmctx.cli.shared.output import out
from llmctx.cli.shared.setup import partitions_of, redis_of, rules_of, settings_for
from llmctx.schema.keys import check_symbol
from llmctx.settings import Settings


def watch(
    symbol: Symbol,
    seconds: Annotated[
        float | None, typer.Option("--for", help="Stop after this many seconds.", show_default=False)
    ] = None,
    redis_url: RedisUrl = None,
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """Follow one symbol's live data as it changes.

    On a terminal it shows the whole package and highlights what has just changed. Elsewhere, and with --json, it prints
    one line for each fact that changes. Ctrl-C stops it.

    \b
    llmctx watch AAPL
    llmctx watch AAPL --for 10 --json
    """
    asyncio.run(_watch(settings_for(redis_url, state_dir), check_symbol(symbol), seconds, as_json=as_json))


async def _watch(settings: Settings, symbol: str, seconds: float | None, *, as_json: bool) -> None:
    from llmctx.cli.look.watch_view import Lines, Screen
    from llmctx.ops.changes import follow_package
    from llmctx.schema.keys import partition_of

    async with redis_of(settings) as (redis, _):
        partition = partition_of(symbol, await partitions_of(redis, settings))
        with Screen() if out.is_terminal and not as_json else Lines(as_json=as_json) as view:
            async for package, changes in follow_package(redis, symbol, partition, rules_of(settings), seconds):
                view.show(package, changes)
