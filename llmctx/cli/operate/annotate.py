"""`llmctx annotate`: what a person says of a record."""

from llmctx.cli.shared.acting import By, Why, act
from llmctx.cli.shared.options import Address, AsJson, RedisUrl, StateDir


def annotate(
    record: Address, by: By, why: Why, redis_url: RedisUrl = None, state_dir: StateDir = None, as_json: AsJson = False
) -> None:
    """Write a remark on a record into the trail.

    It changes nothing else: `llmctx show ADDRESS` and `llmctx reconcile` print it.

    \b
    llmctx annotate 17 --by "R. Meier" --why "the feed was late on this day"
    """
    act("annotation", record, by, why, redis_url=redis_url, state_dir=state_dir, as_json=as_json)
