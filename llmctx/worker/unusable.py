"""Ticks and entries that cannot be decided or used still end in a record, if necessary in a leaf of last resort."""

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from llmctx.context.tick import Tick
from llmctx.errors import in_short
from llmctx.pipeline import Pipeline
from llmctx.plain_leaf import plain_draft
from llmctx.record import RecordMetadata, compose_unread
from llmctx.trail.log.entry import Entry
from llmctx.trail.log.lease import is_server_trouble
from llmctx.worker.owner import Owner

_log = logging.getLogger(__name__)


async def or_pending(settle: Callable[[], Awaitable[Entry]], what: str) -> Entry | None:
    """The record of an entry; None if it cannot be recorded, and then it stays pending.

    Raises LeaseError if another owner has the partition now, TrailError if the server does not answer.
    """
    try:
        return await settle()
    except Exception as error:
        if is_server_trouble(error):
            raise
        _log.error(f"{what} cannot be recorded and stays pending: {in_short(error)}")
        return None


async def settle_unusable(
    owner: Owner, kind: str, tick: Tick | None, reason: str, entry_id: str, *, stream: str = "", **more: Any
) -> Entry:
    """Record an entry of `stream` (empty: of the ticks) that cannot be used, for the reason given; `more` are further
    fields of the leaf.

    Raises LeaseError if another owner has the partition now, TrailError if the server does not answer.
    """
    metadata = await owner.metadata()
    try:
        return await owner.settle(compose_unread(kind, tick, reason, metadata, **more), (entry_id,), stream=stream)
    except Exception as error:
        if is_server_trouble(error):
            raise
        _log.warning(f"Entry {entry_id} is recorded plainly: {in_short(error)}")
        plain = plain_draft(kind, tick, {"action": "none", "reason": reason}, metadata, **more)
        return await owner.settle(plain, (entry_id,), stream=stream)


async def settle_dead_letter(
    owner: Owner, pipeline: Pipeline, tick: Tick, reason: str, metadata: RecordMetadata, entry_ids: tuple[str, ...]
) -> Entry:
    """Settle a tick that cannot be decided, with the guardrails' verdict on its position.

    Raises LeaseError if another owner has the partition now, SnapshotError or TrailError if the server does not answer.
    """
    letter = await pipeline.give_up(tick, reason, metadata)
    why = letter.trouble
    if letter.draft is not None:
        try:
            return await owner.settle(letter.draft, entry_ids)
        except Exception as error:
            if is_server_trouble(error):
                raise  # the tick stays pending
            why = in_short(error)
    if why:
        _log.warning(f"{tick.symbol}: its dead letter has no evidence: {why}")
    return await owner.settle(letter.without_evidence(why), entry_ids)
