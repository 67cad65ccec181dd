"""People stand in records by id, and their names in a table beside the trail, from which one can be erased."""

import asyncio
import json
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import pytest
from redis.asyncio import Redis

from llmctx import clock
from llmctx.canonical import sha256
from llmctx.context.marks import Mark
from llmctx.context.tick import Tick
from llmctx.schema import keys
from llmctx.trail.log.log import Log
from llmctx.trail.log.people import PEOPLE_KEY, NameTable, names_in
from tests.integration.conftest import ByRules, hold, leaves, person, serving
from tests.integration.program import Program
from tests.integration.test_prove import sign

MEIER, ROSSI = "R. Meier", "M. Rossi"
OPENED = "2026-03-02T14:30:00.000Z"
WHY = ("--why", "within plan")


async def row_of(redis: Redis, person_id: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(await redis.hget(PEOPLE_KEY, person_id) or "{}")
    return found


async def acted(program: Program, redis: Redis) -> str:
    """A trail on which one person halts, resumes, confirms a price and remarks; returns the remark's address."""
    await hold(redis, "AAPL")
    (program.folder / "llmctx.toml").write_text(
        f'[mandate]\nby = "{MEIER}"\nadds_per_day = 1\n[people]\n"{MEIER}" = ["approver"]\n', encoding="utf-8"
    )
    by = ("--by", MEIER, *WHY)
    for command in (("halt",), ("decide", "AAPL"), ("resume",), ("confirm", "AAPL"), ("annotate", "2")):
        ended = await program(*command, *(by if command[0] != "decide" else ()), "--json")
        assert ended.code == (2 if command[0] == "decide" else 0), ended.err
    return str(ended.document["address"])


async def recorded(redis: Redis) -> bytes:
    """Everything that the trail holds of its records: leaves, evidence, and the blobs that they name."""
    log = Log(redis)
    texts = [text for entry in [each async for each in log.read()] for text in (entry.leaf, *entry.pieces.values())]
    texts += [cast("bytes", await redis.get(key)) async for key in redis.scan_iter("audit:{0}:blob:*")]
    return b"\n".join(texts)


async def test_no_record_has_a_name_and_whoever_looks_is_shown_it(program: Program, valkey: Redis) -> None:
    where = await acted(program, valkey)
    held = await recorded(valkey)
    meier = await person(valkey, MEIER)
    assert (MEIER.encode() in held, held.count(meier.encode()) > 8) == (False, True)
    shown, listed, of = await program.all(f"show {where}", "decisions", "mandate of 2")
    assert all(MEIER in ended.out and meier not in ended.out for ended in (shown, listed, of)), listed.out
    row = await row_of(valkey, meier)
    assert meier == "person-" + sha256(f"llmctx-person/1\n{row['salt']}\n{MEIER}\n".encode())[:32]


async def test_an_erased_name_is_gone_and_every_record_stays_proven(program: Program, valkey: Redis) -> None:
    where = await acted(program, valkey)
    meier, before = await person(valkey, MEIER), await recorded(valkey)
    await sign(valkey, program.folder / "var")
    assert (await program("export", "with")).code == 0
    assert (await program("export", "without", "--without-people")).code == 0
    assert not (program.folder / "without" / "people.jsonl").exists()
    named, unnamed = await program.all(f"show {where} --from with", f"show {where} --from without --state-dir none")
    assert (MEIER in named.out, meier in unnamed.out, MEIER in unnamed.out) == (True, True, False)

    erased = await program("people", "erase", meier, "--by", ROSSI, "--why", "left the house", "--json")
    assert erased.code == 0, erased.err
    shown, listed, verified = await program.all(f"show {where}", "people", "verify --strict")
    assert (meier in shown.out, MEIER in shown.out, verified.code) == (True, False, 0)
    assert (ROSSI in listed.out, MEIER in listed.out) == (True, False)
    notice = (await Log(valkey).entry(int(erased.document["address"]))).record  # type: ignore[union-attr]
    assert notice["name_erased"] == {"id": meier, "by": await person(valkey, ROSSI), "why": "left the house"}
    assert (await recorded(valkey)).startswith(before[: before.index(b"\n")])
    kept = [path.read_bytes() for path in (program.folder / "var").rglob("*") if path.is_file()]
    assert not any(MEIER.encode() in raw for raw in kept)
    assert (await program("people", "erase", meier, "--by", ROSSI, "--why", "again")).code == 2


@pytest.mark.more
async def test_a_restore_does_not_bring_an_erased_name_back_unless_it_says_so(program: Program, valkey: Redis) -> None:
    await acted(program, valkey)
    meier, row = await person(valkey, MEIER), f'"name":"{MEIER}"'.encode()
    await sign(valkey, program.folder / "var")
    assert (await program("backup", "--to", "backups")).code == 0
    assert (await program("people", "erase", meier, "--by", ROSSI, "--why", "left the house")).code == 0

    for copy_knows in (True, False):  # where it does not, the refilled notice says so
        if not copy_knows:
            (program.folder / "var" / "people.json").unlink()
        restored = await program("restore", "backups", "--over", "--json")
        assert (restored.code, restored.document["erased_again"]) == (0, 1), restored.err
        assert row not in b"".join(await valkey.hvals(PEOPLE_KEY))  # type: ignore[arg-type]

    (program.folder / "var").rename(program.folder / "lost")
    restored = await program("restore", "backups", "--over", "--json")
    assert restored.document["erased_again"] == 0
    assert "does not know which of them were erased" in restored.err


async def test_a_confirmation_by_whoever_raises_ticks_has_an_id_too(
    valkey: Redis, valkey_url: str, tmp_path: Path
) -> None:
    await hold(valkey, "AAPL")
    mark = Mark(Decimal(100), 0, clock.to_ms(clock.parse_iso(OPENED)), Decimal(100), by=MEIER, why="seen")
    tick = Tick(id="t1", symbol="AAPL", confirmation=mark)
    async with serving(valkey, valkey_url, tmp_path, ByRules()) as running:
        await valkey.xadd(keys.ticks(0), tick.fields())
        await running.until_settled("t1")
    (said,) = [leaf["confirmation"] for leaf in await leaves(valkey) if "confirmation" in leaf]
    assert said["by"] == await person(valkey, MEIER)  # type: ignore[index]
    assert MEIER.encode() not in await recorded(valkey)


async def test_a_server_that_lost_the_table_has_it_back_but_no_erased_name(valkey: Redis, tmp_path: Path) -> None:
    here, there = NameTable(valkey, tmp_path / "here"), NameTable(valkey, tmp_path / "there")
    ids = await here.ids_of((MEIER, ROSSI))
    assert await there.ids_of((MEIER, ROSSI, ids[MEIER])) == ids | {ids[MEIER]: ids[MEIER]}
    await here.erase(ids[MEIER])
    await valkey.delete(PEOPLE_KEY)
    await valkey.set(PEOPLE_KEY, "another type")
    await there.mend()  # its copy still has both
    await here.mend()
    await there.mend()
    for table in (here, there):
        assert names_in(await table.rows()) == {ids[ROSSI]: ROSSI}
    assert (await there.ids_of((MEIER,)))[MEIER] != ids[MEIER]


async def test_two_hosts_that_name_somebody_at_once_agree_on_one_id(valkey: Redis, tmp_path: Path) -> None:
    tables = [NameTable(valkey, tmp_path / str(number)) for number in range(8)]
    found = await asyncio.gather(*[table.ids_of((MEIER, ROSSI)) for table in tables])
    assert found == [found[0]] * 8
    assert len(await valkey.hgetall(PEOPLE_KEY)) == 2


async def test_a_row_cannot_give_an_id_another_name(valkey: Redis, tmp_path: Path) -> None:
    table = NameTable(valkey, tmp_path)
    meier = await table.id_of(MEIER)
    row = await row_of(valkey, meier)
    forgeries: list[object] = [row | {"name": ROSSI}, row | {"salt": 5}, [], "x"]
    for forged in forgeries:
        await valkey.hset(PEOPLE_KEY, meier, json.dumps(forged))
        assert names_in(await table.rows()) == {meier: MEIER}, "the copy has the row"


async def test_what_is_no_row_is_removed_and_an_altered_row_comes_back(valkey: Redis, tmp_path: Path) -> None:
    table = NameTable(valkey, tmp_path)
    meier = await table.id_of(MEIER)
    row = await row_of(valkey, meier)
    await valkey.hset(PEOPLE_KEY, mapping={meier: b"\xff", b"\xff": b"\xff", "person-x": "", "x" * 32: "{}"})
    assert await table.id_of(MEIER) == meier
    assert list(await valkey.hkeys(PEOPLE_KEY)) == [meier.encode()]
    assert await row_of(valkey, meier) == row
