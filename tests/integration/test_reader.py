"""Snapshots: one round trip, and an unreadable section gives its reason without affecting the others."""

import json

import pytest
from redis.asyncio import Redis

from llmctx import clock
from llmctx.connection import connect
from llmctx.context.package import build_package
from llmctx.context.read_rules import ReadRules
from llmctx.context.reader import read_raw, read_snapshot
from llmctx.context.section_values import read_values
from llmctx.context.snapshot import Snapshot
from llmctx.context.staleness import Status
from llmctx.errors import SnapshotError
from llmctx.schema.keys import section_keys
from llmctx.schema.mapping.sections import HASH
from tests.conftest import free_port
from tests.integration.conftest import NOW, hold

RULES = ReadRules()
SECTIONS = {name: key for name, key in section_keys("AAPL", RULES.signal_types, 0).items() if name != "thesis"}


async def snapshot_of(redis: Redis, rules: ReadRules = RULES) -> Snapshot:
    return await read_snapshot(redis, "AAPL", 0, rules)


async def test_every_section_is_read_as_the_exact_bytes(redis: Redis, schema_examples: dict[str, str]) -> None:
    await redis.mset(schema_examples)
    snapshot = await snapshot_of(redis)
    read = {section.key: section.raw for section in snapshot.sections.values() if section.raw is not None}
    assert read == {key: text.encode() for key, text in schema_examples.items()}


async def test_a_snapshot_is_one_round_trip(redis: Redis) -> None:
    await snapshot_of(redis)  # the function is loaded now
    await redis.config_resetstat()
    await snapshot_of(redis)
    stats = await redis.info("commandstats")
    assert {name: entry["calls"] for name, entry in stats.items() if name.startswith("cmdstat_fcall")} == {
        "cmdstat_fcall_ro": 1
    }
    # the function's own calls are counted too, but are not requests
    assert stats.keys() <= {
        "cmdstat_fcall_ro",
        "cmdstat_get",
        "cmdstat_strlen",
        "cmdstat_time",
        "cmdstat_type",
        "cmdstat_config|resetstat",
    }


async def test_without_keys_every_section_is_missing(redis: Redis) -> None:
    package = build_package(await snapshot_of(redis))
    assert {section.status for section in package.sections.values()} == {Status.MISSING}


async def test_a_missing_key_is_named(redis: Redis) -> None:
    for section, key in SECTIONS.items():
        package = build_package(await snapshot_of(redis))
        assert key in (package.sections[section].reason or "")


async def put_wrong_type(redis: Redis, key: str, kind: str) -> None:
    match kind:
        case "hash":
            await redis.hset(key, "last", "150.25")
        case "list":
            await redis.rpush(key, "150.25")
        case "set":
            await redis.sadd(key, "150.25")
        case "zset":
            await redis.zadd(key, {"AAPL": 1})
        case "stream":
            await redis.xadd(key, {"last": "150.25"})


@pytest.mark.parametrize("kind", ["hash", "list", "set", "zset", "stream"])
async def test_a_key_of_another_type_is_invalid_with_its_reason(redis: Redis, kind: str) -> None:
    for section, key in SECTIONS.items():
        await put_wrong_type(redis, key, kind)
        found = build_package(await snapshot_of(redis)).sections[section]
        assert (found.status, found.reason) == (Status.INVALID, f"{key}: is a {kind}, not a string")


async def test_a_key_of_another_type_affects_only_its_own_section(redis: Redis) -> None:
    await hold(redis, "AAPL")
    await put_wrong_type(redis, "stocks:indicators:AAPL", "hash")
    assert build_package(await snapshot_of(redis)).refusal is None


async def test_a_value_over_the_cap_is_not_transferred(redis: Redis) -> None:
    await redis.set("stocks:price:AAPL", b"x" * 101)
    snapshot = await snapshot_of(redis, ReadRules(max_value_bytes=100))
    assert snapshot.sections["price"].raw is None
    assert snapshot.sections["price"].unread == "has 101 bytes, more than the cap of 100"


async def test_a_value_over_the_cap_is_not_even_read_in_the_server(redis: Redis) -> None:
    await hold(redis, "AAPL")
    await snapshot_of(redis)
    reads = []
    for text in ("{}", "x" * 300_000):
        await redis.set("context:market", text)
        await redis.config_resetstat()
        await snapshot_of(redis)
        reads.append((await redis.info("commandstats"))["cmdstat_get"]["calls"])
    assert reads[1] == reads[0] - 1


async def test_all_values_together_have_a_cap_too(redis: Redis) -> None:
    others = [f"S{number}" for number in range(30)]
    await hold(redis, "AAPL", *others)
    for other in others:
        document = json.loads(await redis.get(f"positions:active:{other}") or b"") | {"x": "x" * 200_000}
        await redis.set(f"positions:active:{other}", json.dumps(document))
    snapshot = await snapshot_of(redis, ReadRules(portfolio=("AAPL", *others)))
    positions = json.loads(snapshot.sections["portfolio"].raw or b"")["positions"]
    unread = [said["unread"] for said in positions.values() if isinstance(said, dict)]
    assert (len(unread), len(positions)) == (10, 31)
    assert "with those read before it more than the cap of 4194304" in unread[0]
    assert len(snapshot.evidence()) < 5_000_000
    package = build_package(snapshot)
    assert package.refusal is None
    assert package.sections["portfolio"].status is Status.FRESH


async def test_a_list_of_values_has_no_large_one(redis: Redis) -> None:
    await hold(redis, "AAPL")
    await redis.mset({"stocks:price:B": "x" * 300_000, "stocks:price:C": "x" * 1_000_000})
    await redis.config_resetstat()
    found = {value.symbol: value.raw async for value in read_values(redis, "price")}
    assert found["AAPL"].raw is not None
    assert found["B"].unread == "has 300000 bytes, more than the cap of 262144"
    assert (found["C"].unread or "").startswith("takes 1")
    assert (await redis.info("commandstats"))["cmdstat_get"]["calls"] == 2


async def test_a_large_hash_is_not_read(redis: Redis) -> None:
    await redis.hset("books:AAPL", mapping={f"field{number}": "x" * 200_000 for number in range(20)})
    (found,) = await read_raw(redis, ["books:AAPL"], HASH)
    assert (found.unread or "").startswith("takes 4")
    await redis.hset("small:AAPL", mapping={f"field{number}": "x" * 100 for number in range(20)})
    (found,) = await read_raw(redis, ["small:AAPL"], HASH)
    assert len(json.loads(found.raw or b"")) == 20


async def test_a_value_at_the_cap_is_read(redis: Redis) -> None:
    await redis.set("stocks:price:AAPL", b"x" * 100)
    snapshot = await snapshot_of(redis, ReadRules(max_value_bytes=100))
    assert snapshot.sections["price"].raw == b"x" * 100


async def test_an_empty_string_is_invalid(redis: Redis) -> None:
    await redis.set("stocks:price:AAPL", "")
    found = build_package(await snapshot_of(redis)).sections["price"]
    assert found.status is Status.INVALID
    assert "stocks:price:AAPL" in (found.reason or "")


async def test_invalid_utf8_is_invalid_and_kept(redis: Redis) -> None:
    await redis.set("stocks:price:AAPL", b'{"price": "\xff"}')
    snapshot = await snapshot_of(redis)
    found = build_package(snapshot).sections["price"]
    assert found.status is Status.INVALID
    assert (found.reason or "").startswith("stocks:price:AAPL: not usable JSON")
    assert Snapshot.from_evidence(snapshot.evidence()).sections["price"].raw == b'{"price": "\xff"}'


async def test_a_mixed_snapshot_survives_a_round_trip_through_its_evidence(redis: Redis) -> None:
    await hold(redis, "AAPL")
    await redis.set("stocks:sentiment:AAPL", b"\xff")
    await put_wrong_type(redis, "stocks:indicators:AAPL", "hash")
    snapshot = await snapshot_of(redis)
    assert Snapshot.from_evidence(snapshot.evidence()) == snapshot


async def test_without_a_bars_clock_the_servers_time_is_used(redis: Redis) -> None:
    await redis.set("system:state", json.dumps({"timestamp": NOW}))
    before = await redis.time()
    snapshot = await snapshot_of(redis)
    assert snapshot.clock == "server"
    assert snapshot.as_of_ms == snapshot.server_ms >= before[0] * 1000 + before[1] // 1000


async def test_the_bars_clock_is_used_if_system_state_says_so(redis: Redis) -> None:
    await redis.set("system:state", json.dumps({"timestamp": NOW, "clock": "bars"}))
    snapshot = await snapshot_of(redis)
    assert (snapshot.clock, clock.iso(snapshot.as_of_ms)) == ("bars", NOW)


async def test_the_signal_types_to_read_are_a_setting(redis: Redis) -> None:
    await redis.set("signals:scalp:AAPL", "{}")
    snapshot = await snapshot_of(redis, ReadRules(signal_types=("scalp",)))
    assert snapshot.sections["signals.scalp"].raw == b"{}"
    assert "signals.entry" not in snapshot.sections


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
@pytest.mark.parametrize("section", ["price", "position", "system"])
async def test_a_time_outside_the_calendar_is_invalid(redis: Redis, section: str, moment: str) -> None:
    await hold(redis, "AAPL")
    value = json.loads(await redis.get(SECTIONS[section]) or b"")
    value |= {"last_update" if section == "position" else "timestamp": moment}
    await redis.set(SECTIONS[section], json.dumps(value))
    assert build_package(await snapshot_of(redis)).sections[section].status is Status.INVALID


async def test_a_missing_server_is_a_snapshot_error() -> None:
    client = connect(f"redis://127.0.0.1:{free_port()}/0", retries=0)
    with pytest.raises(SnapshotError, match="AAPL"):
        await snapshot_of(client)
    await client.aclose()
