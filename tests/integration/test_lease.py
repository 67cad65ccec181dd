"""The lease of a partition: one owner at a time, by the server's clock."""

import asyncio

import pytest
from redis.asyncio import Redis

from llmctx.connection import connect
from llmctx.errors import TrailError
from llmctx.trail.log.lease import LEASE_MS, Lease, lease_key, read_holder
from tests.conftest import free_port, present


async def test_a_free_lease_is_taken(redis: Redis) -> None:
    lease = Lease(redis, 0)
    assert await lease.take() is None
    holder = present(await read_holder(redis, 0))
    assert (holder.owner, holder.label) == (lease.owner, lease.label)


async def test_a_held_lease_is_told_with_its_holder(redis: Redis) -> None:
    first, second = Lease(redis, 0), Lease(redis, 0)
    await first.take()
    holder = present(await second.take())
    assert (holder.owner, holder.label) == (first.owner, first.label)


async def test_a_held_lease_stays_with_its_holder(redis: Redis) -> None:
    first, second = Lease(redis, 0), Lease(redis, 0)
    await first.take()
    before = await read_holder(redis, 0)
    await second.take()
    assert await read_holder(redis, 0) == before


async def test_renewing_a_lease_makes_it_last_longer(redis: Redis) -> None:
    lease = Lease(redis, 0)
    await lease.take()
    before = await read_holder(redis, 0)
    await asyncio.sleep(0.005)
    assert await lease.take() is None
    after = await read_holder(redis, 0)
    assert before is not None
    assert after is not None
    assert after.until_ms > before.until_ms


async def test_a_lease_ends_its_length_after_the_servers_time(redis: Redis) -> None:
    lease = Lease(redis, 0)
    seconds, micros = await redis.time()
    before_ms = seconds * 1000 + micros // 1000
    await lease.take()
    seconds, micros = await redis.time()
    after_ms = seconds * 1000 + micros // 1000
    holder = present(await read_holder(redis, 0))
    assert before_ms + LEASE_MS <= holder.until_ms <= after_ms + LEASE_MS


async def test_a_lease_that_was_given_up_is_free_at_once(redis: Redis) -> None:
    first, second = Lease(redis, 0), Lease(redis, 0)
    await first.take()
    await first.give_up()
    assert await read_holder(redis, 0) is None
    assert await second.take() is None


async def test_giving_up_does_not_take_the_lease_from_another(redis: Redis) -> None:
    first, second = Lease(redis, 0), Lease(redis, 0)
    await first.take()
    await second.give_up()
    holder = present(await read_holder(redis, 0))
    assert holder.owner == first.owner


async def test_giving_up_a_free_lease_changes_nothing(redis: Redis) -> None:
    await Lease(redis, 0).give_up()
    assert await redis.exists(lease_key(0)) == 0


async def test_a_lease_that_ended_is_free_for_another(redis: Redis) -> None:
    first, second = Lease(redis, 0, length_ms=1), Lease(redis, 0)
    await first.take()
    await asyncio.sleep(0.01)
    assert await read_holder(redis, 0) is None
    assert await second.take() is None


async def test_an_owner_that_comes_back_too_late_is_told_who_holds_it(redis: Redis) -> None:
    first, second = Lease(redis, 0, length_ms=1), Lease(redis, 0)
    await first.take()
    await asyncio.sleep(0.01)
    await second.take()
    holder = present(await first.take())
    assert holder.owner == second.owner


async def test_partitions_have_leases_of_their_own(redis: Redis) -> None:
    assert await Lease(redis, 0).take() is None
    assert await Lease(redis, 1).take() is None


async def test_of_many_that_ask_at_once_one_gets_it(redis: Redis) -> None:
    answers = await asyncio.gather(*(Lease(redis, 0).take() for _ in range(20)))
    assert answers.count(None) == 1


def test_every_owner_is_a_new_one(valkey_url: str) -> None:
    client = connect(valkey_url)
    assert len({Lease(client, 0).owner for _ in range(10)}) == 10


async def test_a_lease_has_no_ttl(redis: Redis) -> None:
    await Lease(redis, 0).take()
    assert await redis.ttl(lease_key(0)) == -1


async def test_a_server_that_is_not_there_is_a_trail_error() -> None:
    client = connect(f"redis://127.0.0.1:{free_port()}/0", retries=0)
    with pytest.raises(TrailError, match="could not be taken"):
        await Lease(client, 0).take()
    await client.aclose()
