"""The price that a person confirms with a tick."""

import logging

from llmctx.context.tick import Tick
from llmctx.errors import in_short
from llmctx.pipeline import Pipeline
from llmctx.trail.log.lease import is_server_trouble
from llmctx.worker.owner import Owner

_log = logging.getLogger(__name__)


async def confirm(tick: Tick, pipeline: Pipeline, owner: Owner) -> str:
    """Record and believe the price that a tick confirms, if it confirms one; returns why that is impossible.

    Raises TrailError or RedisError if the server does not answer.
    """
    if tick.confirmation is None:
        return ""
    try:
        await pipeline.confirm(await owner.people.named_by_id(tick), await owner.metadata())
    except Exception as error:
        if is_server_trouble(error):
            raise
        problem = f"the price cannot be confirmed: {in_short(error)}"
        _log.warning(f"{tick.symbol}: {problem}")
        return problem
    return ""
