"""`llmctx archive`: records move, none is lost or doubled, and what goes on in Redis goes on."""

import json
from functools import partial

from redis.asyncio import Redis

from llmctx.context.tick import Tick
from llmctx.trail.archive.reader import open_archive
from llmctx.trail.log.entry import Entry
from llmctx.trail.log.log import Log
from tests.integration.archive.conftest import SIGNED_FIRST, settle
from tests.integration.conftest import ByRules, hold, raise_tick, serving
from tests.integration.program import Ended, Program, until
from tests.integration.test_prove import SIZE, audit, sign, vkey
from tests.integration.test_replaced_key import Swapped

LOG, TICKS, BASE = "audit:{0}:log", "audit:{0}:ticks", "audit:{0}:base"
ARCHIVED = "audit:{0}:archived"


async def archive(made: Program, *options: str) -> Ended:
    return await made("archive", "--to", "kept", "--older-than", "0d", "--json", *options)


def content(entry: Entry) -> tuple[int, bytes, dict[str, bytes], bytes]:
    return entry.index, entry.leaf, entry.pieces, entry.proof


async def everything(redis: Redis, made: Program) -> list[tuple[int, bytes, dict[str, bytes], bytes]]:
    """Every record: those of the archive, and then those of the log."""
    archived = open_archive(str(made.folder / "kept"))
    return [
        *(content(entry) for part in archived.parts for entry in archived.entries(part)),
        *[content(entry) async for entry in Log(redis).read()],
    ]


async def test_records_move_and_the_trail_goes_on(redis: Redis, trail: Program) -> None:
    before = [content(entry) async for entry in Log(redis).read()]
    done = await archive(trail, "--keep", "2")
    assert done.code == 0, done.err
    (segment,) = done.lines
    assert (segment["first"], segment["end"], segment["trimmed"]) == (0, SIGNED_FIRST, SIGNED_FIRST)
    log = Log(redis)
    assert (await log.first(), await log.size()) == (SIGNED_FIRST, SIZE + 1)
    now = await everything(redis, trail)
    assert now[:SIZE] == before
    (notice,) = [entry async for entry in log.read(SIZE)]
    assert notice.record["archived"]["end"] == SIGNED_FIRST
    verified = await trail("verify", "--json")
    assert (verified.code, verified.document["records"], verified.document["archived"]) == (
        0,
        SIZE + 1 - SIGNED_FIRST,
        SIGNED_FIRST,
    )

    await settle(redis, trail, t6="AAPL")
    (last,) = [entry async for entry in log.read(SIZE + 1)]
    assert (last.index, last.record["kind"], last.record["tick"]) == (SIZE + 1, "decision", "t6")
    assert (await trail("verify", "--json")).code == 0
    assert (await archive(trail, "--keep", "0")).lines[0]["first"] == SIGNED_FIRST
    assert [each[0] for each in await everything(redis, trail)] == list(range(await log.size()))
    assert (await trail("verify", "--json")).code == 0


async def test_a_segment_may_end_between_two_checkpoints(valkey: Redis, proven: Program) -> None:
    done = await archive(proven, "--keep", "4")
    assert [(each["first"], each["end"]) for each in done.lines] == [(0, SIZE - 4)]
    assert (await proven("verify", "--json")).code == 0
    key = await vkey(proven)
    for keep in (None, "3", "0"):  # the first one goes on behind a checkpoint that the anchor does not have
        if keep is not None:
            assert (await archive(proven, "--keep", keep)).code == 0
        assert (await proven("verify", "--from", "kept", "--key", key, "--json")).code == 0
        assert (await proven("export", f"export{keep}", "--from", "kept")).code == 0
        assert (await audit(proven, f"export{keep}", "--key", key)).code == 0
    assert (await proven("verify", "--json")).code == 0
    assert [each[0] for each in await everything(valkey, proven)] == list(range(await Log(valkey).size()))


async def test_nothing_is_archived_before_it_is_old_enough_or_while_it_is_among_the_newest(
    redis: Redis, trail: Program
) -> None:
    for options in (("--keep", "0", "--older-than", "1h"), ("--keep", "2000")):
        done = await archive(trail, *options)
        assert (done.code, done.lines) == (0, [])
    assert await redis.xlen(LOG) == SIZE
    assert not (trail.folder / "kept").exists()


async def test_an_archived_tick_that_is_raised_again_is_not_decided_again(redis: Redis, trail: Program) -> None:
    await archive(trail, "--keep", "0")
    size = await Log(redis).size()
    await raise_tick(redis, "t1", "AAPL")
    await settle(redis, trail, t6="AAPL")
    records = [entry.record async for entry in Log(redis).read(size)]
    assert [record["tick"] for record in records if "tick" in record] == ["t6"]


async def test_a_tick_that_somebody_maps_to_an_archived_record_is_decided(redis: Redis, trail: Program) -> None:
    await archive(trail, "--keep", "0")
    await redis.hset(TICKS, "t6", "3")
    await settle(redis, trail, t6="AAPL")
    assert [entry.record["tick"] async for entry in Log(redis).read() if "tick" in entry.record] == ["t6"]
    assert (await trail("verify", "--json")).code == 0


async def test_a_log_that_is_emptied_goes_on_where_it_ended(redis: Redis, trail: Program) -> None:
    await archive(trail, "--keep", "0")
    size = await Log(redis).size()
    await redis.delete(LOG)
    await settle(redis, trail, t6="AAPL")
    found = [entry.index async for entry in Log(redis).read()]
    assert found[:2] == [SIZE, SIZE + 1]
    assert found[-1] >= size


async def test_a_forged_base_is_noticed(redis: Redis, trail: Program) -> None:
    await archive(trail, "--keep", "2")
    genuine = await redis.hgetall(BASE)
    for field, value in (("size", "6"), ("subtrees", "00" * 32), ("note", "none")):
        await redis.hset(BASE, field, value)
        ended = await trail("verify", "--json")
        assert (ended.code, ended.document["fault"]["rule"]) == (1, "base"), field
        await redis.hset(BASE, field, genuine[field.encode()])
    assert (await trail("verify", "--json")).code == 0


async def test_what_is_cut_off_with_a_genuine_checkpoint_and_no_notice_is_noticed(redis: Redis, trail: Program) -> None:
    before = [entry.index async for entry in Log(redis).read()]
    await archive(trail, "--keep", "2")
    base = await redis.hgetall(BASE)
    await redis.xdel(LOG, f"{SIZE}-1")  # the notice
    ended = await trail("verify", "--json")
    assert (ended.code, ended.document["fault"]["rule"]) == (1, "base")
    assert (len(before), base[b"size"]) == (SIZE, str(SIGNED_FIRST).encode())


async def test_a_running_worker_is_asked_to_trim(valkey: Redis, proven: Program) -> None:
    await hold(valkey, "AAPL", "MSFT")
    async with serving(valkey, proven.environment["LLMCTX_REDIS_URL"], proven.folder / "var", ByRules()) as running:
        await running.decide(valkey, "t6", "AAPL")
        done = await archive(proven, "--keep", "2")
        assert [segment["trimmed"] for segment in done.lines] == [SIZE + 1 - 2]
        await running.decide(valkey, "t7", "MSFT")
    assert await valkey.xlen("ticks:{0}") == 0
    await sign(valkey, proven.folder / "var")
    assert [each[0] for each in await everything(valkey, proven)] == list(range(SIZE + 3))
    assert (await proven("verify", "--json")).code == 0


async def test_an_unsigned_request_trims_nothing(valkey: Redis, proven: Program, logged: list[str]) -> None:
    async with serving(valkey, proven.environment["LLMCTX_REDIS_URL"], proven.folder / "var", ByRules()):
        await valkey.xadd("ticks:{0}", {"request": '{"what":"trim"}', "proof": b"x" * 68})
        await until(partial(is_empty, valkey, "ticks:{0}"))
    assert await valkey.xlen(LOG) == SIZE
    assert any("not signed by an enrolled writer" in line for line in logged)


async def is_empty(redis: Redis, stream: str) -> bool:
    return not await redis.xlen(stream)


async def test_what_the_next_decision_on_a_position_reads_stays_readable(valkey: Redis, proven: Program) -> None:
    before = {entry.index: content(entry) async for entry in Log(valkey).read()}
    await archive(proven, "--keep", "0")
    log = Log(valkey)
    newest = {symbol: [entry.index async for entry in log.read_back_of(symbol)] for symbol in ("AAPL", "MSFT")}
    assert newest == {"AAPL": [5], "MSFT": [6]}
    kept = [await log.entry(index) for index in await log.kept()]
    assert [content(entry) for entry in kept if entry] == [before[index] for index in await log.kept()]
    await settle(valkey, proven, t6="AAPL")
    (decided,) = [entry async for entry in log.read_back_of("AAPL") if entry.index > SIZE]
    assert json.loads(decided.pieces["snapshot"])["thesis"]["address"] == "5"
    assert (await proven("verify", "--json")).code == 0


async def test_an_archived_trail_is_backed_up_and_restored(valkey: Redis, proven: Program) -> None:
    await archive(proven, "--keep", "2")
    assert (await proven("backup", "--to", "backups", "--json")).document["verdict"] == "good"
    await valkey.flushall()
    assert (await proven("restore", "backups", "--json")).code == 0
    assert [each[0] for each in await everything(valkey, proven)] == list(range(SIZE + 1))
    await settle(valkey, proven, t6="AAPL")
    assert await Log(valkey).size() == SIZE + 2
    proven.environment["LLMCTX_ARCHIVE"] = "kept"
    verified = await proven("verify", "--json")
    assert (verified.code, verified.document["records"]) == (0, SIZE + 2)


async def test_ticks_of_long_archived_records_are_forgotten(valkey: Redis, proven: Program) -> None:
    await archive(proven, "--keep", "2")
    assert await valkey.hget(TICKS, "t1") == b"1"
    ((field, settled),) = (await valkey.hgetall(ARCHIVED)).items()
    two_days_ago = f"0 {SIGNED_FIRST} {int(field.split()[2]) - 2 * 86_400_000}"
    await valkey.delete(ARCHIVED)
    await valkey.hset(ARCHIVED, two_days_ago, settled)
    proven.environment["LLMCTX_TICKS_KEPT_D"] = "1"
    await archive(proven, "--keep", "0")
    assert set(await valkey.hkeys(TICKS)) == {b"t4", b"t5"}
    assert await valkey.hlen(ARCHIVED) == 1
    assert (await proven("verify", "--json")).code == 0


async def test_a_tick_that_waited_too_long_is_skipped(valkey: Redis, proven: Program) -> None:
    await valkey.delete("ticks:{0}")
    await valkey.xadd("ticks:{0}", Tick(id="old", symbol="AAPL").fields(), id="1000-0")
    await settle(valkey, proven, t6="AAPL")
    (skipped,) = [entry async for entry in Log(valkey).read(SIZE) if entry.record.get("tick") == "old"]
    assert skipped.record["kind"] == "skipped"
    assert skipped.record["verdict"]["reason"] == "too old: raised 1970-01-01T00:00:01.000Z"


async def test_a_key_that_was_replaced_takes_nothing_archived_for_forged(valkey: Redis, proven: Program) -> None:
    await hold(valkey, "AAPL", "MSFT")
    await archive(proven, "--keep", "2")
    before = await valkey.hgetall(BASE), await valkey.hgetall("audit:{0}:kept")
    swapped = Swapped(proven.folder / "var")
    swapped.swap()
    url = proven.environment["LLMCTX_REDIS_URL"]
    async with serving(valkey, url, proven.folder / "var", ByRules()) as running:
        for tick in ("t1", "t6"):  # the first one is settled by an archived record
            await raise_tick(valkey, tick, "AAPL")
        await running.until_settled("t6")
    assert (await valkey.hgetall(BASE), await valkey.hgetall("audit:{0}:kept")) == before
    swapped.put_back()
    ended = await proven("verify", "--json")
    assert (ended.code, ended.document["fault"]) == (0, None)
