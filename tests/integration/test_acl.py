"""The users that `llmctx acl` prints: each may do what its programs do, and nothing of what others do."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.exceptions import NoPermissionError, ResponseError

from llmctx.connection import connect
from llmctx.flow.simulated_market import simulate
from llmctx.functions import execute
from llmctx.llm.standin import Standin
from llmctx.ops.acl.users import User, users_for
from llmctx.trail.log.log import Log
from tests.days import write
from tests.integration.conftest import live, raise_tick
from tests.integration.program import Program, until

PASSWORD = "pa/ss w#rd"
ENCODED = "pa%2Fss%20w%23rd"

OPENED = "2026-03-02T14:30:00.000Z"

MAY = {
    "collector": [
        "SET stocks:price:AAPL {}", "SET stocks:indicators:AAPL {} EX 60", "SET watchlist:current {}",
        "SET signals:entry:AAPL {}", "SET system:state {}", "XADD stocks:bars:AAPL 1-0 close 1",
        "PUBLISH updates:stocks:price:AAPL {}",
    ],
    "raiser": ["XADD ticks:{0} * id t symbol AAPL", "XADD ticks:{7} * id t symbol AAPL", "HGETALL audit:instance"],
    "worker": [
        "XRANGE audit:{0}:log - +", "GET positions:active:AAPL", "INFO memory", "FUNCTION LIST",
        "HSET limits:llm:one:0 9 1", "EXPIRE limits:llm:one:0 60", "SET controls:halt x NX", "DEL controls:halt",
        "SET controls:halt:AAPL x", "DEL controls:halt:AAPL", "HSET controls:reserved t 1", "HGETALL budget:day",
        "XREADGROUP GROUP deciders me COUNT 1 STREAMS effects:{0} >", "SCAN 0 MATCH controls:*", "XLEN effects:{0}",
    ],
    "notary": ["XRANGE audit:{0}:log - +", "SET audit:{0}:checkpoint note", "GET audit:{0}:checkpoint"],
    "execution": [
        "SET positions:active:AAPL {}", "DEL positions:active:AAPL", "XADD positions:closed * symbol AAPL",
        "XRANGE decisions:{0} - +", "XGROUP CREATE decisions:{0} mine 0", "XACK decisions:{0} mine 0-1",
        "XREADGROUP GROUP mine me COUNT 1 STREAMS decisions:{0} >", "GET decisions:{0}:latest:AAPL",
        "XADD effects:{0} * effect {}", "XADD effects:{7} * effect {}",
    ],
    "auditor": ["XRANGE audit:{0}:log - +", "XRANGE decisions:{0} - +", "SCAN 0", "FUNCTION LIST WITHCODE"],
    "operator": [
        "INFO", "CONFIG GET maxmemory", "SLOWLOG GET", "LATENCY LATEST", "LASTSAVE", "GET positions:active:AAPL",
        "EXPIRE stocks:price:AAPL 60", "BGREWRITEAOF", "GET controls:halt", "HGETALL budget:day", "XLEN effects:{0}",
        "HGETALL limits:llm:one:0", "GET audit:{0}:effects",
    ],
    "feed": ["SET positions:active:AAPL {}", "XADD ticks:{0} * id t symbol AAPL", "XRANGE decisions:{0} - +",
             "XADD effects:{0} * effect {}"],
}  # fmt: skip
"""What each role must be able to do."""

DANGEROUS = [
    "FLUSHALL", "FLUSHDB", "CONFIG SET maxmemory 1", "ACL SETUSER eve on", "REPLICAOF NO ONE", "SHUTDOWN NOSAVE",
    "KEYS *", "EVAL return(1) 0", "SAVE", "CLIENT KILL ID 1", "FAILOVER", "MONITOR",
]  # fmt: skip
"""What nobody may do."""

FORGERIES = [
    "XADD audit:{0}:log 9-1 record x", "DEL audit:{0}:log", "XTRIM audit:{0}:log MAXLEN 0", "SET audit:{0}:durable 9",
    "HSET audit:{0}:ticks t 9", "HSET audit:{0}:lease owner eve", "HSET audit:instance id eve",
    "SET audit:{0}:blob:ab x", "XADD decisions:{0} 9-1 decision x", "SET decisions:{0}:latest:AAPL x",
    "DEL decisions:{0}", "EXPIRE audit:{0}:log 1", "RENAME audit:{0}:log x", "DEL ticks:{0}",
    "HSET ticks:{0}:attempts t 9", "XTRIM decisions:{0} MAXLEN 0", "HSET budget:day day 1", "DEL budget:day",
    "HSET limits:llm:one:0 9 1", "DEL limits:llm:one:0", "SET controls:halt x", "DEL controls:halt",
    "DEL controls:halt:AAPL", "HSET controls:reserved t 1", "HSET audit:{0}:effects id 9", "XTRIM effects:{0} MAXLEN 0",
    "XACK effects:{0} deciders 0-1", "DEL effects:{0}",
]  # fmt: skip
"""Writes of the trail, the decisions and the ticks, which are the worker's alone."""

LOADS = ["FUNCTION LOAD x", "FUNCTION DELETE x", "FUNCTION FLUSH"]
POSITIONS = ["SET positions:active:AAPL x", "DEL positions:active:AAPL"]
PRICES = ["SET stocks:price:AAPL x", "SET system:state x", "DEL stocks:indicators:AAPL"]
READING = ["GET positions:active:AAPL", "XRANGE audit:{0}:log - +", "GET audit:{0}:checkpoint"]
CHECKPOINT = "SET audit:{0}:checkpoint x"
RAISING = "XADD ticks:{0} * id t symbol AAPL"
REPORTING = "XADD effects:{0} * effect {}"

MAY_NOT = {
    "collector": [*FORGERIES, *LOADS, *POSITIONS, *READING, CHECKPOINT, RAISING, REPORTING, "XRANGE decisions:{0} - +"],
    "raiser": [*FORGERIES, *LOADS, *POSITIONS, *PRICES, *READING, CHECKPOINT, REPORTING, "XRANGE ticks:{0} - +"],
    "worker": [*POSITIONS, *PRICES, "FUNCTION FLUSH", "CONFIG GET requirepass", "GET other", "SET other x"],
    "notary": [
        *FORGERIES,
        *LOADS,
        *POSITIONS,
        *PRICES,
        RAISING,
        REPORTING,
        "GET positions:active:AAPL",
        "INCR audit:{0}:durable",
    ],
    "execution": [*FORGERIES, *LOADS, *PRICES, CHECKPOINT, RAISING, "XRANGE audit:{0}:log - +"],
    "auditor": [*FORGERIES, *LOADS, *POSITIONS, *PRICES, CHECKPOINT, RAISING, REPORTING, "GET positions:active:AAPL"],
    "operator": [
        *FORGERIES,
        *LOADS,
        *POSITIONS,
        "SET stocks:price:AAPL x",
        CHECKPOINT,
        RAISING,
        REPORTING,
        "SET other x",
    ],
    "feed": [*FORGERIES, *LOADS, CHECKPOINT, "GET audit:{0}:checkpoint", "GET other", "SET other x"],
}
"""What each role must be refused, beside what nobody may."""


@pytest.fixture
def users(tmp_path: Path) -> list[User]:
    """A user for each role, with a password that must be percent-encoded in an address."""
    file = tmp_path / "users.toml"
    table = 'roles = ["{0}"]\npassword = "{1}"\n'
    file.write_text("".join(f"[{user.name}]\n{table.format(user.name, PASSWORD)}" for user in users_for(0)))
    return users_for(0, file)


@pytest.fixture
async def guarded(redis: Redis, users: list[User]) -> AsyncIterator[Redis]:
    """An empty server with those users, as its administrator."""
    for user in users:
        await execute(redis, "ACL", "SETUSER", user.name, *user.rules)
    await execute(redis, "ACL", "LOG", "RESET")
    yield redis
    await execute(redis, "ACL", "DELUSER", *(user.name for user in users))


def address_of(url: str, name: str) -> str:
    return url.replace("//", f"//{name}:{ENCODED}@")


@pytest.mark.parametrize("role", MAY)
async def test_each_user_may_do_what_it_must_and_nothing_else(guarded: Redis, redis_url: str, role: str) -> None:
    await guarded.mset(live("AAPL") | {"stocks:indicators:AAPL": "{}", "decisions:{0}:latest:AAPL": "{}"})
    for stream in ("decisions:{0}", "audit:{0}:log"):
        await guarded.xadd(stream, {"decision": "{}"}, id="0-1")
    user = connect(address_of(redis_url, role))
    try:
        allowed = [command for command in MAY[role] if await is_refused(user, command)]
        assert allowed == [], "these must be allowed"
        refused = [command for command in (*DANGEROUS, *MAY_NOT[role]) if not await is_refused(user, command)]
        assert refused == [], "these must be refused"
    finally:
        await user.aclose()


async def is_refused(user: Redis, command: str) -> bool:
    """Whether a user may not give a command; whatever else the server says of it, the user may."""
    try:
        await execute(user, *command.split(" "))
    except ResponseError as error:
        return isinstance(error, NoPermissionError)
    return False


@pytest.mark.more
async def test_a_whole_run_a_feed_and_a_verify_are_refused_nothing(
    guarded: Redis, redis_url: str, tmp_path: Path, standin: Standin
) -> None:
    def as_user(name: str) -> Program:
        return Program(address_of(redis_url, name), tmp_path, standin.base_url)

    market = simulate(seed=7, days=1, minutes=20)
    day, symbol = write(market, tmp_path), market.bars[0].symbol
    clients = {name: connect(address_of(redis_url, name)) for name in ("execution", "raiser")}
    held = live(symbol, last_update=OPENED, stop_loss=1.0, take_profit=9999.0)[f"positions:active:{symbol}"]
    await clients["execution"].set(f"positions:active:{symbol}", held)
    worker, operator = as_user("worker"), as_user("operator")
    async with worker.running(guarded, "--no-notary") as process:
        signing = await as_user("notary").start("notary")
        fed = await as_user("feed")("feed", str(day.bars), "--news", str(day.news), "--lockstep", "--json")
        assert fed.code == 0, fed.err
        await raise_tick(clients["raiser"], "mine", symbol)
        ended = await worker("decide", symbol)
        assert ended.code == 0, ended.err
        await until(lambda: is_settled(guarded, "mine"))
        assert (await worker.stop(process)).code == 0
        await asyncio.sleep(1)
        assert (await as_user("notary").stop(signing)).code == 0
    for client in clients.values():
        await client.aclose()
    assert fed.document["ticks"] > 0
    # An auditor has the anchor and the public key. Whoever has the private key signs what is not covered yet.
    shutil.copytree(tmp_path / "var", tmp_path / "auditor" / "var", ignore=_private_keys)
    auditor = Program(address_of(redis_url, "auditor"), tmp_path / "auditor")
    done = await auditor.all("verify", "decisions --json", "show 0", "export out", "receipt 0", "outcome")
    done += await operator.all("status", "keys", f"context {symbol}", "cleanup --json")
    assert [(ended.code, ended.err) for ended in done if ended.code] == []
    examined = await operator("doctor", "--json")
    assert "may not ask" not in examined.out
    assert await refusals(guarded) == set()


async def refusals(redis: Redis) -> set[tuple[str, str]]:
    """Who was refused what."""
    logged = [dict(zip(row[::2], row[1::2], strict=True)) for row in await execute(redis, "ACL", "LOG", "128")]
    return {(row[b"username"].decode(), row[b"object"].decode()) for row in logged}


def _private_keys(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if not name.endswith(".pub")] if folder.endswith("/keys") else []


async def is_settled(redis: Redis, tick: str) -> bool:
    return (await Log(redis).settled([tick]))[0] is not None
