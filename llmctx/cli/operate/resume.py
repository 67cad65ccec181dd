"""`llmctx resume`: the end of a halt."""

from typing import Annotated

import typer

from llmctx.cli.shared.acting import Halter, Why, control
from llmctx.cli.shared.options import AsJson, RedisUrl, StateDir


def resume(
    by: Halter,
    why: Why,
    symbol: Annotated[str | None, typer.Argument(help="The symbol; without one the halt of everything ends.")] = None,
    redis_url: RedisUrl = None,
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """End the halt of a symbol, or of everything.

    Symbols that were halted by name stay halted until each is resumed. It is recorded in the trail.

    \b
    llmctx resume --by "R. Meier" --why "the feed is up to date"
    """
    control("resume", symbol, by, why, redis_url=redis_url, state_dir=state_dir, as_json=as_json)
