"""`llmctx override`: a person decides in a decision's place."""

from typing import Annotated

import typer

from llmctx.cli.shared.acting import By, Why, act
from llmctx.cli.shared.options import Address, AsJson, RedisUrl, StateDir


def override(
    record: Address,
    by: By,
    why: Why,
    action: Annotated[str, typer.Option(help="What stands in its place: hold or exit.")] = "hold",
    redis_url: RedisUrl = None,
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """Decide in a decision's place: hold or exit.

    It is published at once, under the address of the override. A person can reduce risk this way, but not add any. It
    does not undo what was already carried out.

    \b
    llmctx override 17 --action exit --by "R. Meier" --why "merger news not in the feed"
    """
    if action not in ("hold", "exit"):
        raise typer.BadParameter(f"--action {action}: give hold or exit")
    act("override", record, by, why, action=action, redis_url=redis_url, state_dir=state_dir, as_json=as_json)
