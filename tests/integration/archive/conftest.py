"""Trails to archive, and what is asked of an archive."""

from functools import partial
from pathlib import Path

import pytest
from redis.asyncio import Redis

from llmctx.trail.archive.manifest import Manifest
from llmctx.trail.archive.place import open_place
from llmctx.trail.archive.plan import Limits, Plan
from llmctx.trail.archive.segment import SegmentWriter, Trail
from llmctx.trail.log.instance import read_instance
from llmctx.trail.log.log import Log
from llmctx.trail.proof.key import load_key
from llmctx.trail.proof.merkle import CompactRange
from tests.integration.conftest import Prepared
from tests.integration.program import Program
from tests.integration.test_prove import anchor_of, make_trail

EVERYTHING = Limits(2**53, 2**53)


@pytest.fixture
async def proven(
    valkey: Redis,
    valkey_url: str,
    tmp_path: Path,
    prepared: Prepared,
    short_pauses: None,  # noqa: ARG001
) -> Program:
    """Seven records, decisions among them, all signed, on Valkey."""
    made = Program(valkey_url, tmp_path)
    await prepared.once(valkey_url, valkey, tmp_path, partial(make_trail, valkey, valkey_url, made))
    return made


async def write_segment(redis: Redis, made: Program, where: str, limits: Limits = EVERYTHING) -> Manifest:
    """The first segment of partition 0, written to a place without a word to the trail."""
    instance = await read_instance(redis)
    assert instance is not None
    state_dir = made.folder / "var"
    anchor, key = await anchor_of(redis, state_dir), load_key(state_dir, instance.id).key
    plan = Plan(anchor.checkpoints())
    cut = plan.next(0, limits)
    assert cut is not None
    writer = SegmentWriter(Trail(redis, Log(redis), anchor, instance.id, 1, key), open_place(where), plan)
    return await writer.write(cut, CompactRange(), ())
