"""The oracle of the service: every tick that was raised is settled, and none of them twice."""

import asyncio
from pathlib import Path
from typing import cast

import pytest
from redis.asyncio import Redis

from llmctx.connection.streams import read_stream
from llmctx.replay.verify import verify_log
from llmctx.schema import keys
from llmctx.trail.log.instance import bind_instance
from llmctx.trail.log.lease import read_holder
from llmctx.trail.log.log import Log
from llmctx.worker import queue, settler
from llmctx.worker.home import TrailHome
from llmctx.worker.owner import Owner
from llmctx.worker.ticks import TickStream
from tests.integration.conftest import UNRECORDABLE, ByRules, Unrecordable, hold, leaves, live, raise_tick, serving
from tests.integration.program import until

pytestmark = pytest.mark.usefixtures("short_pauses")

MANY = [f"S{n}" for n in range(60)]


async def check_oracle(redis: Redis, raised: list[str]) -> None:
    """Ticks raised = distinct ticks settled, none twice; nothing is left over; the trail verifies."""
    settled = [
        tick
        for leaf in await leaves(redis)
        if "tick" in leaf
        for tick in (leaf["tick"], *leaf.get("conflated", []))  # type: ignore[misc]
    ]
    assert sorted(settled) == sorted(set(raised))
    assert await redis.xlen(keys.ticks(0)) == 0
    assert await TickStream(redis, 0).pending("0") == []
    assert (await verify_log(Log(redis))).fault is None


async def pending_are(redis: Redis, count: int) -> bool:
    pending = await redis.xpending(keys.ticks(0), keys.DECIDERS)
    return bool(pending["pending"] == count)


def kinds(records: list[dict[str, object]]) -> list[object]:
    return [record["kind"] for record in records if record["kind"] != "notice"]


async def test_many_symbols_at_once_settle_every_tick_once(redis: Redis, redis_url: str, tmp_path: Path) -> None:
    await hold(redis, *MANY)
    raised = [f"{symbol}-{n}" for n in range(3) for symbol in MANY]
    completer = ByRules(pauses=3)
    async with serving(redis, redis_url, tmp_path, completer) as running:
        for tick in raised:
            await raise_tick(redis, tick, tick.partition("-")[0])
        await running.until_settled(*raised)
    await check_oracle(redis, raised)
    assert completer.overlaps == []
    assert completer.most_at_once > 1


async def test_no_more_symbols_are_decided_at_once_than_allowed(redis: Redis, redis_url: str, tmp_path: Path) -> None:
    await hold(redis, *MANY)
    for symbol in MANY:
        await raise_tick(redis, symbol, symbol)
    completer = ByRules(pauses=5)
    completer.gate.clear()  # nobody is answered before as many are asked as may be
    async with serving(redis, redis_url, tmp_path, completer, concurrency=4) as running:
        await until(lambda: completer.most_at_once >= 4)
        completer.gate.set()
        await running.until_settled(*MANY)
    assert completer.most_at_once == 4
    await check_oracle(redis, MANY)


async def test_a_busy_symbol_has_its_ticks_conflated_and_listed(redis: Redis, redis_url: str, tmp_path: Path) -> None:
    await hold(redis, "AAPL")
    completer = ByRules()
    completer.gate.clear()
    async with serving(redis, redis_url, tmp_path, completer) as running:
        await raise_tick(redis, "first", "AAPL")
        await until(lambda: completer.asked["AAPL"])
        waited = [f"t{n}" for n in range(50)]
        for tick in waited:
            await raise_tick(redis, tick, "AAPL")
        await until(lambda: pending_are(redis, 51))
        completer.gate.set()
        await running.until_settled("first", *waited)
    first, second = [leaf for leaf in await leaves(redis) if leaf["kind"] != "notice"]
    assert (first["tick"], first.get("conflated")) == ("first", None)
    assert (second["tick"], second["conflated"]) == ("t49", waited[:-1])
    assert completer.overlaps == []
    await check_oracle(redis, ["first", *waited])


async def test_a_record_lists_no_more_ticks_than_it_may(
    redis: Redis, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "MAX_CONFLATED", 10)
    await hold(redis, "AAPL")
    raised = [f"t{n}" for n in range(40)]
    for tick in raised:
        await raise_tick(redis, tick, "AAPL")
    async with serving(redis, redis_url, tmp_path, ByRules()) as running:
        await running.until_settled(*raised)
    assert max(len(leaf.get("conflated", [])) for leaf in await leaves(redis)) == 10  # type: ignore[arg-type]
    await check_oracle(redis, raised)


async def test_a_busy_symbol_under_steady_ticks_is_never_decided_twice_at_once(
    redis: Redis, redis_url: str, tmp_path: Path
) -> None:
    await hold(redis, "AAPL", "MSFT")
    raised = [f"{symbol}-{n}" for n in range(150) for symbol in ("AAPL", "MSFT")]
    completer = ByRules(pauses=20)
    async with serving(redis, redis_url, tmp_path, completer) as running:
        await raise_tick(redis, raised[0], "AAPL")
        await until(lambda: completer.asked["AAPL"])
        for tick in raised[1:]:
            await raise_tick(redis, tick, tick.partition("-")[0])
        await running.until_settled(*raised)
    assert completer.overlaps == []
    assert completer.asked["AAPL"] > 1
    await check_oracle(redis, raised)


async def test_a_tick_raised_twice_at_once_is_settled_once(redis: Redis, redis_url: str, tmp_path: Path) -> None:
    await hold(redis, "AAPL")
    for _ in range(3):
        await raise_tick(redis, "same", "AAPL")
    completer = ByRules()
    async with serving(redis, redis_url, tmp_path, completer) as running:
        await running.until_settled("same")
    assert completer.asked.total() == 1
    await check_oracle(redis, ["same"])


async def test_a_tick_raised_again_after_it_was_settled_is_not_decided_again(
    redis: Redis, redis_url: str, tmp_path: Path
) -> None:
    await hold(redis, "AAPL")
    completer = ByRules()
    async with serving(redis, redis_url, tmp_path, completer) as running:
        await running.decide(redis, "same", "AAPL")
        await raise_tick(redis, "same", "AAPL")
        await running.decide(redis, "other", "AAPL")
    assert completer.asked.total() == 2
    await check_oracle(redis, ["same", "other"])


async def test_a_tick_raised_again_while_it_is_decided_is_settled_once(
    redis: Redis, redis_url: str, tmp_path: Path
) -> None:
    await hold(redis, "AAPL")
    completer = ByRules()
    completer.gate.clear()
    async with serving(redis, redis_url, tmp_path, completer) as running:
        await raise_tick(redis, "same", "AAPL")
        await until(lambda: completer.asked["AAPL"])
        await raise_tick(redis, "same", "AAPL")
        await until(lambda: pending_are(redis, 2))
        completer.gate.set()
        await running.until_settled("same")
    assert completer.asked.total() == 1
    await check_oracle(redis, ["same"])


MALFORMED: dict[str, tuple[dict[str, str | bytes], str, str]] = {
    "no symbol": ({"id": "bad1"}, "skipped", "has no field 'symbol'"),
    "no id": ({"symbol": "AAPL"}, "incident", "id"),
    "an empty id": ({"id": "", "symbol": "AAPL"}, "incident", "has no field 'id'"),
    "no symbol's form": ({"id": "bad2", "symbol": "A*B"}, "skipped", "'A*B' is not a symbol"),
    "an empty symbol": ({"id": "bad3", "symbol": ""}, "skipped", "'' is not a symbol"),
    "nothing known": ({"x": "y"}, "incident", "has no field 'symbol'"),
    "an id that is not UTF-8": ({"id": b"\xff", "symbol": "AAPL"}, "dead_letter", "its id is not UTF-8"),
    "an id that is too long": (
        {"id": "x" * 201, "symbol": "AAPL"},
        "dead_letter",
        "its id has more than 200 characters",
    ),
    "neither id nor symbol": ({"id": b"\xff", "symbol": b"\xff"}, "dead_letter", "its id is not UTF-8"),
    "a symbol that is no UTF-8": ({"id": "bad4", "symbol": b"\xff"}, "skipped", "is not a symbol"),
}
"""Fields of a stream entry, the kind of record that it becomes, and what that says."""


async def test_an_entry_that_is_no_tick_is_recorded_and_costs_no_other(
    redis: Redis, redis_url: str, tmp_path: Path
) -> None:
    await hold(redis, "AAPL", "MSFT")
    entry_ids = [cast("bytes", await redis.xadd(keys.ticks(0), f)).decode() for f, *_ in MALFORMED.values()]  # type: ignore[arg-type]
    await raise_tick(redis, "good", "MSFT")
    bad = [
        entry_id for entry_id, (_, kind, _) in zip(entry_ids, MALFORMED.values(), strict=True) if kind == "dead_letter"
    ]
    bad += [str(fields["id"]) for fields, kind, _ in MALFORMED.values() if kind == "skipped"]
    async with serving(redis, redis_url, tmp_path, ByRules()) as running:
        await running.until_settled("good", *bad)
        await until(lambda: len(running.entries) == 1 + len(MALFORMED))
    records = await leaves(redis)
    for (what, (_, kind, reason)), entry_id in zip(MALFORMED.items(), entry_ids, strict=True):
        (record,) = [record for record in records if entry_id in str(record["verdict"])]
        assert record["kind"] == kind, what
        assert reason in str(record["verdict"]), what
    assert sorted(map(str, kinds(records))) == sorted(["decision", *(kind for _, kind, _ in MALFORMED.values())])
    await check_oracle(redis, ["good", *bad])


async def test_two_ids_that_are_no_utf_8_are_two_ticks(redis: Redis, redis_url: str, tmp_path: Path) -> None:
    await redis.mset(live("AAPL", price=85.0))  # the stop is breached
    raw = [await redis.xadd(keys.ticks(0), {b"id": tick_id, b"symbol": b"AAPL"}) for tick_id in (b"\xff", b"\xfe")]
    raised = [cast("bytes", entry_id).decode() for entry_id in raw]
    async with serving(redis, redis_url, tmp_path, ByRules()) as running:
        await running.until_settled(*raised)
    verdicts = [record["verdict"] for record in await leaves(redis) if record["kind"] == "dead_letter"]
    assert [verdict["action"] for verdict in verdicts] == ["exit", "exit"]  # type: ignore[index]
    await check_oracle(redis, raised)


async def test_a_symbol_that_is_not_held_is_skipped_with_the_key(redis: Redis, redis_url: str, tmp_path: Path) -> None:
    await raise_tick(redis, "t", "NONE")
    async with serving(redis, redis_url, tmp_path, ByRules()) as running:
        await running.until_settled("t")
    (record,) = [record for record in await leaves(redis) if record["kind"] == "skipped"]
    assert "positions:active:NONE: no such key" in str(record["verdict"])
    await check_oracle(redis, ["t"])


async def give_out(redis: Redis, *ticks: str, symbol: str = "AAPL") -> None:
    """Raise ticks and have them given to an owner that dies with them."""
    stream = TickStream(redis, 0)
    await stream.open()
    for tick in ticks:
        await raise_tick(redis, tick, symbol)
    assert len(await stream.new(None)) == len(ticks)


async def test_what_a_dead_owner_left_is_taken_first(redis: Redis, redis_url: str, tmp_path: Path) -> None:
    await hold(redis, "AAPL", "MSFT")
    await give_out(redis, "left")
    await raise_tick(redis, "new", "MSFT")
    async with serving(redis, redis_url, tmp_path, ByRules(), concurrency=1) as running:
        await running.until_settled("left", "new")
    assert [leaf["tick"] for leaf in await leaves(redis) if "tick" in leaf] == ["left", "new"]
    await check_oracle(redis, ["left", "new"])


async def test_what_a_dead_owner_left_counts_as_a_further_attempt(redis: Redis, redis_url: str, tmp_path: Path) -> None:
    await hold(redis, "AAPL", "MSFT")
    await give_out(redis, "left")
    await raise_tick(redis, "new", "MSFT")
    async with serving(redis, redis_url, tmp_path, ByRules()) as running:
        await running.until_settled("left", "new")
    attempts = {leaf["tick"]: leaf["attempts"] for leaf in await leaves(redis) if "tick" in leaf}
    assert attempts == {"left": 2, "new": 1}


async def test_what_a_dead_owner_left_is_read_over_many_pages(redis: Redis, redis_url: str, tmp_path: Path) -> None:
    await hold(redis, "AAPL")
    left = [f"t{n}" for n in range(499)]
    await give_out(redis, *left)
    await give_out(redis, "last", symbol="AAPL")
    async with serving(redis, redis_url, tmp_path, ByRules()) as running:
        await running.until_settled(*left, "last")
    await check_oracle(redis, [*left, "last"])


async def test_a_pending_entry_that_was_deleted_is_an_incident(redis: Redis, redis_url: str, tmp_path: Path) -> None:
    await hold(redis, "AAPL")
    await give_out(redis, "lost", "kept")
    lost = (await read_stream(redis, keys.ticks(0), count=1))[0].id
    await redis.xdel(keys.ticks(0), lost)
    async with serving(redis, redis_url, tmp_path, ByRules()) as running:
        await running.until_settled("kept")
    (record,) = [record for record in await leaves(redis) if record["kind"] == "incident"]
    assert f"tick entry {lost} was trimmed" in str(record["verdict"])
    await check_oracle(redis, ["kept"])


async def test_a_tick_whose_decision_always_fails_ends_as_a_dead_letter_after_five_attempts(
    redis: Redis, redis_url: str, tmp_path: Path
) -> None:
    await hold(redis, "AAPL")
    await raise_tick(redis, "poison", "AAPL")
    completer = Unrecordable()
    async with serving(redis, redis_url, tmp_path, completer) as running:
        await running.until_settled("poison")
    (record,) = [record for record in await leaves(redis) if record["kind"] == "dead_letter"]
    assert (completer.asked, record["attempts"]) == (5, 5)
    assert record["verdict"]["action"] == "hold"  # type: ignore[index]  # by the guardrails, which ask nobody
    assert any(trouble.startswith("AAPL, tick poison: ValueError: float 0.5") for trouble in running.troubles)
    assert await redis.exists(keys.attempts(0)) == 0
    await check_oracle(redis, ["poison"])


async def test_conflated_ticks_share_the_dead_letter(redis: Redis, redis_url: str, tmp_path: Path) -> None:
    await hold(redis, "AAPL")
    raised = ["a", "b", "c"]
    for tick in raised:
        await raise_tick(redis, tick, "AAPL")
    async with serving(redis, redis_url, tmp_path, Unrecordable()) as running:
        await running.until_settled(*raised)
    assert set(kinds(await leaves(redis))) == {"dead_letter"}
    await check_oracle(redis, raised)


async def test_a_poisonous_tick_costs_no_other_symbol(redis: Redis, redis_url: str, tmp_path: Path) -> None:
    class OnlyForOne(ByRules):
        async def complete(self, prompt, output):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
            if "Position in BAD," in prompt.messages[1].content:
                return UNRECORDABLE
            return await super().complete(prompt, output)

    await hold(redis, "BAD", "GOOD")
    await raise_tick(redis, "bad", "BAD")
    raised = [f"g{n}" for n in range(20)]
    async with serving(redis, redis_url, tmp_path, OnlyForOne()) as running:
        for tick in raised:
            await raise_tick(redis, tick, "GOOD")
        await running.until_settled("bad", *raised)
    records = await leaves(redis)
    assert [record["tick"] for record in records if record["kind"] == "dead_letter"] == ["bad"]
    await check_oracle(redis, ["bad", *raised])


async def test_newer_ticks_do_not_keep_a_poisonous_one_alive(valkey: Redis, valkey_url: str, tmp_path: Path) -> None:
    class UnrecordableAndTicked(Unrecordable):
        async def complete(self, prompt, output):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
            await raise_tick(valkey, f"newer-{self.asked}", "AAPL")
            return await super().complete(prompt, output)

    await hold(valkey, "AAPL")
    await raise_tick(valkey, "poison", "AAPL")
    completer = UnrecordableAndTicked()
    async with serving(valkey, valkey_url, tmp_path, completer) as running:
        await until(lambda: "poison" in running.settled() or completer.asked > 4 * settler.MAX_ATTEMPTS)
        assert completer.asked <= 4 * settler.MAX_ATTEMPTS


async def test_stopping_settles_what_was_raised_before(redis: Redis, redis_url: str, tmp_path: Path) -> None:
    await hold(redis, *MANY)
    raised = [f"{symbol}-{n}" for n in range(20) for symbol in MANY]
    async with serving(redis, redis_url, tmp_path, ByRules(pauses=2), concurrency=8):
        await until(lambda: redis.exists(keys.ticks(0)))
        async with redis.pipeline(transaction=False) as batch:
            for tick in raised:
                batch.xadd(keys.ticks(0), {"id": tick, "symbol": tick.partition("-")[0], "cause": "test"})
            await batch.execute()
    await check_oracle(redis, raised)


async def test_stopping_waits_for_the_decision_that_is_being_made(redis: Redis, redis_url: str, tmp_path: Path) -> None:
    await hold(redis, "AAPL")
    completer = ByRules()
    completer.gate.clear()
    await raise_tick(redis, "t", "AAPL")
    async with serving(redis, redis_url, tmp_path, completer) as running:
        await until(lambda: completer.asked["AAPL"])
        running.stop.set()
        await asyncio.sleep(0.05)
        assert running.settled() == []
        completer.gate.set()
    await check_oracle(redis, ["t"])


async def test_a_stopped_service_gives_its_lease_up(redis: Redis, redis_url: str, tmp_path: Path) -> None:
    async with serving(redis, redis_url, tmp_path, ByRules()) as running:
        await until(lambda: read_holder(redis, 0))
    assert running.troubles == []
    assert await read_holder(redis, 0) is None


async def test_a_second_service_waits_for_the_lease(redis: Redis, redis_url: str, tmp_path: Path) -> None:
    await hold(redis, "AAPL")
    first, second = ByRules(), ByRules()
    async with serving(redis, redis_url, tmp_path, second) as waiting:
        await until(lambda: read_holder(redis, 0))
        async with serving(redis, redis_url, tmp_path, first) as late:
            await late.until_trouble("waiting for it")
            await waiting.decide(redis, "t1", "AAPL")
            waiting.stop.set()
            await raise_tick(redis, "t2", "AAPL")
            await raise_tick(redis, "t3", "AAPL")
            await until(lambda: {"t2", "t3"} <= {*waiting.settled(), *late.settled()})
            await until(lambda: read_holder(redis, 0))
            await late.decide(redis, "t4", "AAPL")
    assert first.asked.total() > 0
    await check_oracle(redis, ["t1", "t2", "t3", "t4"])


async def test_a_service_that_waits_for_the_lease_can_be_stopped(redis: Redis, redis_url: str, tmp_path: Path) -> None:
    instance, _ = await bind_instance(redis, tmp_path)
    async with (
        Owner(TrailHome(redis, "", instance, tmp_path)),
        serving(redis, redis_url, tmp_path, ByRules()) as waiting,
    ):
        await waiting.until_trouble("is held by")
    assert waiting.entries == []


async def test_every_decision_is_published_in_order(redis: Redis, redis_url: str, tmp_path: Path) -> None:
    await hold(redis, *MANY)
    for symbol in MANY:
        await raise_tick(redis, symbol, symbol)
    async with serving(redis, redis_url, tmp_path, ByRules(pauses=3)) as running:
        await running.until_settled(*MANY)
    decisions = [entry.index async for entry in Log(redis).read() if entry.record["kind"] == "decision"]
    published = [found.number for found in await read_stream(redis, keys.decisions(0))]
    assert published == decisions
    assert len(published) == len(MANY)


async def test_the_next_package_carries_the_last_decision_as_its_thesis(
    redis: Redis, redis_url: str, tmp_path: Path
) -> None:
    await hold(redis, "AAPL")
    async with serving(redis, redis_url, tmp_path, ByRules()) as running:
        for tick in ("t1", "t2"):
            await running.decide(redis, tick, "AAPL")
    sections = [leaf["snapshot"]["sections"]["thesis"] for leaf in await leaves(redis) if "snapshot" in leaf]  # type: ignore[index]
    assert [section["status"] for section in sections] == ["missing", "fresh"]


async def test_the_first_record_of_a_log_is_the_notice_that_names_the_instance(
    redis: Redis, redis_url: str, tmp_path: Path
) -> None:
    instance, _ = await bind_instance(redis, tmp_path)
    async with serving(redis, redis_url, tmp_path, ByRules()):
        await until(lambda: Log(redis).size())
    first = (await leaves(redis))[0]
    assert first["kind"] == "notice"
    assert instance.id in str(first["verdict"])


async def test_a_second_run_makes_no_second_notice(redis: Redis, redis_url: str, tmp_path: Path) -> None:
    await hold(redis, "AAPL")
    for n in range(2):
        async with serving(redis, redis_url, tmp_path, ByRules()) as running:
            await running.decide(redis, f"t{n}", "AAPL")
    kinds = [leaf["kind"] for leaf in await leaves(redis)]
    assert kinds == [
        "notice",
        "decision",
        "notice",
        "decision",
    ]  # the instance, then the clock that the first one shows


async def test_lost_functions_do_not_stop_the_service(redis: Redis, redis_url: str, tmp_path: Path) -> None:
    await hold(redis, *MANY)
    raised = [f"{symbol}-{n}" for n in range(3) for symbol in MANY]
    async with serving(redis, redis_url, tmp_path, ByRules(pauses=2)) as running:
        for first in range(0, len(raised), 30):
            for tick in raised[first : first + 30]:
                await raise_tick(redis, tick, tick.partition("-")[0])
            await redis.function_flush()
        await running.until_settled(*raised)
    await check_oracle(redis, raised)


async def test_lost_blobs_do_not_stop_the_service(redis: Redis, redis_url: str, tmp_path: Path) -> None:
    await hold(redis, "AAPL")
    async with serving(redis, redis_url, tmp_path, ByRules()) as running:
        for tick in ("t1", "t2"):
            await running.decide(redis, tick, "AAPL")
            await redis.delete(*[name async for name in redis.scan_iter("audit:{0}:blob:*")])
        await running.decide(redis, "t3", "AAPL")
    await check_oracle(redis, ["t1", "t2", "t3"])


async def test_verify_beside_a_running_service_finds_no_fault(redis: Redis, redis_url: str, tmp_path: Path) -> None:
    await hold(redis, *MANY)
    async with serving(redis, redis_url, tmp_path, ByRules()) as running:
        raised: list[str] = []
        for n in range(3):
            for symbol in MANY[:25]:
                raised.append(f"{symbol}-{n}")
                await raise_tick(redis, raised[-1], symbol)
            assert (await verify_log(Log(redis))).fault is None
        await running.until_settled(*raised)
    await check_oracle(redis, raised)


async def test_a_tick_that_another_reader_took_and_left_is_settled(
    redis: Redis, redis_url: str, tmp_path: Path
) -> None:
    await hold(redis, "AAPL")
    async with serving(redis, redis_url, tmp_path, ByRules()) as running:
        await running.decide(redis, "first", "AAPL")
        async with redis.pipeline(transaction=True) as both:  # an owner that has lost its lease reads once more
            both.xadd(keys.ticks(0), {"id": "taken", "symbol": "AAPL", "cause": "test"})
            both.xreadgroup(keys.DECIDERS, "owner", {keys.ticks(0): ">"})
            await both.execute()
        await running.until_settled("taken")
    await check_oracle(redis, ["first", "taken"])


@pytest.mark.parametrize("others", [[], ["left"]])
async def test_a_tick_that_the_group_has_passed_over_is_settled(
    redis: Redis, redis_url: str, tmp_path: Path, others: list[str]
) -> None:
    """A server that replays a cut transaction brings ticks back behind the group's last delivered one."""
    await hold(redis, "AAPL")
    await give_out(redis, *others)
    await raise_tick(redis, "passed over", "AAPL")
    await redis.xgroup_setid(keys.ticks(0), keys.DECIDERS, "$")
    async with serving(redis, redis_url, tmp_path, ByRules()) as running:
        await running.until_settled("passed over", *others)
        await running.decide(redis, "next", "AAPL")
    await check_oracle(redis, ["passed over", "next", *others])


async def test_ticks_that_somebody_else_moves_the_group_past_or_reads_in_its_name_are_settled(
    redis: Redis, redis_url: str, tmp_path: Path
) -> None:
    await hold(redis, "AAPL", "MSFT")
    async with serving(redis, redis_url, tmp_path, ByRules()) as running:
        await running.decide(redis, "first", "AAPL")
        await redis.xgroup_setid(keys.ticks(0), keys.DECIDERS, "18446744073709551615-1")
        await running.decide(redis, "passed over", "AAPL")
        async with redis.pipeline(transaction=True) as theft:
            theft.xadd(keys.ticks(0), {"id": "stolen", "symbol": "MSFT"})
            theft.xreadgroup(keys.DECIDERS, "thief", {keys.ticks(0): ">"})
            await theft.execute()
        await running.until_settled("stolen")
        await running.until_trouble("had given 1 entries to 'thief'")
    await check_oracle(redis, ["first", "passed over", "stolen"])


async def test_only_the_tick_that_was_started_too_often_is_a_dead_letter(
    redis: Redis, redis_url: str, tmp_path: Path
) -> None:
    await hold(redis, "AAPL")
    await give_out(redis, "poison", "late")
    await redis.hset(keys.attempts(0), "poison", str(settler.MAX_ATTEMPTS))
    async with serving(redis, redis_url, tmp_path, ByRules()) as running:
        await running.until_settled("poison", "late")
    records = {leaf["tick"]: leaf for leaf in await leaves(redis) if "tick" in leaf}
    assert {tick: leaf["kind"] for tick, leaf in records.items()} == {"poison": "dead_letter", "late": "decision"}
    assert all("conflated" not in leaf for leaf in records.values())
    await check_oracle(redis, ["poison", "late"])
