"""`llmctx halt`: no new risk from the next tick on."""

from typing import Annotated

import typer

from llmctx.cli.shared.acting import Halter, Why, control
from llmctx.cli.shared.options import AsJson, RedisUrl, StateDir


def halt(
    by: Halter,
    why: Why,
    symbol: Annotated[str | None, typer.Argument(help="The symbol; without one everything is halted.")] = None,
    redis_url: RedisUrl = None,
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """Halt a symbol or everything: no new risk from the next tick.

    No model is asked meanwhile, but a breached stop is still an exit. The command sets controls:halt or
    controls:halt:SYMBOL, which stays until `llmctx resume`, and is recorded in the trail.

    \b
    llmctx halt --by "R. Meier" --why "the feed shows yesterday's prices"
    llmctx halt AAPL --by "R. Meier" --why "results tonight"
    """
    control("halt", symbol, by, why, redis_url=redis_url, state_dir=state_dir, as_json=as_json)
