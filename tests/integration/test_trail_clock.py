"""A trail has one clock: fixed by the setting or the first decision, noted, and never changed by system:state."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from llmctx.context.read_rules import Clock, ReadRules
from llmctx.context.tick import Tick
from llmctx.errors import ClockError
from llmctx.ops.keyspace import count_families
from llmctx.pipeline import DecisionConfig
from llmctx.replay.verify import verify_log
from llmctx.trail.log.instance import bind_instance
from llmctx.trail.log.log import Log
from llmctx.worker.home import TrailHome
from llmctx.worker.partition import own_partition
from tests.integration.conftest import POSITION, SETTLEMENT, ByRules, decided, held_lease, hold, leaves, live
from tests.integration.program import Program


class Trail:
    """A trail whose partition is owned anew for each group of decisions."""

    def __init__(self, redis: Redis, url: str, state_dir: Path) -> None:
        self.redis, self.url, self.state_dir = redis, url, state_dir
        self.ticks = 0

    async def decide(
        self, *states: Iterable[str] | None, setting: Clock | None = None, partition: int = 0, partitions: int = 1
    ) -> None:
        """Decide on AAPL once for each system:state, which is changed by the fields given, or missing (None)."""
        instance, _ = await bind_instance(self.redis, self.state_dir, partitions=partitions)
        home = TrailHome(self.redis, self.url, instance, self.state_dir)
        config = DecisionConfig(POSITION, ByRules(), ReadRules(clock=setting))
        async with own_partition(home, partition, config) as (_, pipeline):
            for state in states:
                await self.redis.delete("system:state")
                if state is not None:
                    await self.redis.set("system:state", "".join(state))
                self.ticks += 1
                await pipeline.decide(Tick(id=f"t{self.ticks}", symbol="AAPL"))

    async def shown(self, partition: int = 0) -> list[str]:
        """Each record as KIND, with the clock of a notice, or that of the snapshot and the state of its system section."""
        found = []
        async for entry in Log(self.redis, partition).read():
            record: Any = entry.record
            if record["kind"] == "notice":
                found.append(f"notice {record.get('clock', '-')}")
            elif "snapshot" in entry.pieces:
                piece = json.loads(entry.pieces["snapshot"])
                status = record["snapshot"]["sections"]["system"]["status"]
                found.append(f"{record['kind']} {piece['clock']} {piece.get('trail_clock', '-')} {status}")
        return found


BARS = live("AAPL")["system:state"]
LIVE = json.dumps({key: value for key, value in json.loads(BARS).items() if key != "clock"})
NEW, FIRST = "notice -", "decision bars - fresh"


@pytest.fixture
async def trail(valkey: Redis, valkey_url: str, tmp_path: Path) -> Trail:
    await hold(valkey, "AAPL")
    return Trail(valkey, valkey_url, tmp_path)


async def test_the_first_decision_fixes_the_clock_in_a_notice(trail: Trail) -> None:
    await trail.decide(BARS, BARS)
    assert await trail.shown() == [NEW, FIRST, "notice bars", "decision bars bars fresh"]
    assert (await verify_log(Log(trail.redis))).fault is None


async def test_recorded_data_that_a_live_trail_meets_later_is_not_made_fresh(trail: Trail) -> None:
    await trail.decide(LIVE, BARS, LIVE)
    assert await trail.shown() == [
        NEW, "decision server - stale", "notice server", "decision server server invalid",
        "decision server server stale",
    ]  # fmt: skip
    record: Any = (await leaves(trail.redis))[3]
    assert record["snapshot"]["sections"]["price"]["status"] == "stale"
    assert (await verify_log(Log(trail.redis))).fault is None


async def test_live_data_on_a_trail_of_recorded_data_has_an_invalid_system_state(trail: Trail) -> None:
    await trail.decide(BARS, LIVE, None)
    assert (await trail.shown())[2:] == ["notice bars", "decision server bars invalid", "decision server bars missing"]


async def test_a_system_state_that_is_missing_does_not_leave_the_clock_open(trail: Trail) -> None:
    await trail.decide(None, BARS)
    assert (await trail.shown())[1:] == ["decision server - missing", "notice server", "decision server server invalid"]


async def test_a_tick_that_does_not_show_the_clock_does_not_fix_it(trail: Trail) -> None:
    await trail.decide("{", '{"market_status": 1}', BARS)
    assert (await trail.shown())[3:] == [FIRST, "notice bars"]


async def test_a_tick_without_a_position_does_not_fix_it_either(trail: Trail) -> None:
    await trail.redis.delete("positions:active:AAPL")
    await trail.decide(BARS)
    assert await trail.shown() == [NEW, "skipped bars - fresh"]


@pytest.mark.parametrize("setting", ["server", "bars"])
async def test_a_setting_fixes_the_clock_before_the_first_decision(trail: Trail, setting: Clock) -> None:
    await trail.decide(BARS, LIVE, setting=setting)
    status = ["invalid", "stale"] if setting == "server" else ["fresh", "invalid"]
    assert await trail.shown() == [
        NEW,
        f"notice {setting}",
        f"decision {setting} {setting} {status[0]}",
        f"decision server {setting} {status[1]}",
    ]


async def test_a_setting_that_contradicts_the_trail_is_refused(trail: Trail) -> None:
    await trail.decide(BARS)
    with pytest.raises(ClockError, match=r"clock is server, but the trail has had the clock bars"):
        await trail.decide(BARS, setting="server")
    await trail.decide(BARS, setting="bars")
    assert await trail.shown() == [NEW, FIRST, "notice bars", "decision bars bars fresh"]


@pytest.mark.parametrize("forged", [None, "server", "neither"])
async def test_a_restart_finds_the_clock_in_the_trail_whatever_redis_says_beside_it(
    trail: Trail, forged: str | None
) -> None:
    await trail.decide(BARS)
    await trail.redis.hdel("audit:instance", "clock")
    if forged is not None:
        await trail.redis.hset("audit:instance", "clock", forged)
    await trail.decide(BARS, LIVE)
    await trail.decide(BARS)
    assert (await trail.shown())[2:] == [
        "notice bars", "decision bars bars fresh", "decision server bars invalid", "decision bars bars fresh",
    ]  # fmt: skip


@pytest.mark.parametrize("state", [BARS, LIVE])
async def test_a_trail_of_an_older_version_gets_the_clock_that_its_records_show(trail: Trail, state: str) -> None:
    await trail.redis.set("system:state", state)
    draft = await decided(trail.redis, "AAPL", "old")
    await bind_instance(trail.redis, trail.state_dir)
    lease = await held_lease(trail.redis)
    await Log(trail.redis).append(draft, lease.owner, SETTLEMENT)
    await lease.give_up()
    clock = "bars" if state == BARS else "server"
    await trail.decide(LIVE if state == BARS else BARS)
    assert (await trail.shown())[-2:] == [f"notice {clock}", f"decision server {clock} invalid"]


async def test_partitions_share_the_clock_that_one_of_them_fixed(trail: Trail) -> None:
    await trail.decide(BARS, partitions=2)
    await trail.decide(LIVE, partition=1, partitions=2)
    assert (await trail.shown(1))[1:] == ["notice bars", "decision server bars invalid"]


async def test_ages_of_keys_are_measured_against_the_trails_clock(trail: Trail) -> None:
    await trail.decide(LIVE)
    await trail.redis.set("system:state", BARS)
    (price,) = [family for family in await count_families(trail.redis) if family.section == "price"]
    assert price.newest_age_ms is not None
    assert price.newest_age_ms > 86_400_000


async def test_the_program_says_what_contradicts_the_trail(program: Program, valkey: Redis) -> None:
    await hold(valkey, "AAPL")
    await valkey.set("system:state", LIVE)
    assert (await program("decide", "AAPL")).code == 0
    await valkey.set("system:state", BARS)
    shown = await program("context", "AAPL")
    assert "(server clock)" in shown.out
    assert "but this trail has the server's clock; feed recorded data to another server or database" in " ".join(
        shown.out.split()
    )
    program.environment["LLMCTX_CLOCK"] = "bars"
    refused = await program("decide", "AAPL")
    assert refused.code == 2
    assert "The setting clock is bars, but the trail has had the clock server" in refused.err
    program.environment["LLMCTX_CLOCK"] = "sundial"
    assert "The setting clock is malformed" in (await program("decide", "AAPL")).err
