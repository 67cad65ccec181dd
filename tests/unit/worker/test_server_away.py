"""What a worker does while the server does not answer."""

import asyncio

import pytest

from llmctx.connection import connect
from llmctx.context.tick import Tick
from llmctx.errors import TrailError
from llmctx.worker.balancing import Balancer
from llmctx.worker.ticks import raise_tick
from tests.conftest import free_port


async def test_a_tick_that_cannot_be_raised_is_named() -> None:
    redis = connect(f"redis://127.0.0.1:{free_port()}/0", retries=0)
    with pytest.raises(TrailError, match="The tick t1 could not be raised"):
        await raise_tick(redis, 0, Tick(id="t1", symbol="AAPL"))


async def test_nothing_changes_hands_and_signing_off_is_no_error() -> None:
    balancer = Balancer(connect(f"redis://127.0.0.1:{free_port()}/0", retries=0), 1)
    hand_over = balancer.take(0)
    await balancer.beat()
    running = asyncio.create_task(balancer.run())
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert hand_over is not None
    assert not hand_over.is_set()
