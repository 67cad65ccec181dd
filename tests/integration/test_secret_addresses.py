"""A server's password is in no output, log, record, export or file, whatever form the address has."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from llmctx.connection import connect
from llmctx.llm.standin import Standin
from tests.integration.conftest import hold, raise_tick
from tests.integration.program import Ended, Program, until

SECRET = "hunterTwo/@x"
ENCODED = "hunterTwo%2F%40x"
NEEDLE = "hunterTwo"
WORKING = ["redis://:{}@{}/0", "redis://default:{}@{}/0", "redis://{1}/0?password={0}"]
REFUSED = [
    "redis://:hunterTwo/x@{}/0", "redis://svc:hunterTwo/x@{}/0", "redis://:hunterTwo@x@{}/0",
    "redis://svc:hunterTwo?x@{}/0", "redis://svc:hunterTwo", "redis://:hunterTwo@", "redis://{}/hunterTwo",
    "redis://{}/0?hunterTwo=1", "embedded:redis://:hunterTwo@{}/0", "embedded://:hunterTwo@{}/0", "hunterTwo",
]  # fmt: skip
COMMANDS = ["status", "keys", "context AAPL", "decisions", "verify", "show 1", "outcome", "key", "decide AAPL"]


@pytest.fixture
async def server(redis_url: str) -> AsyncIterator[tuple[Redis, str]]:
    """A client and HOST:PORT of a server that asks for the password."""
    client = connect(redis_url)
    await client.flushall()
    await client.config_set("requirepass", SECRET)
    await client.aclose()
    place = redis_url.removeprefix("redis://").removesuffix("/0")
    client = connect(f"redis://:{ENCODED}@{place}/0")
    yield client, place
    await client.config_set("requirepass", "")
    await client.aclose()


def check(ended: Ended) -> None:
    assert NEEDLE not in ended.out + ended.err


def files_with_the_secret(folder: Path) -> list[Path]:
    """Spool, anchor, keys, export, corpus: the files that hold the secret."""
    return [path for path in folder.rglob("*") if path.is_file() and NEEDLE.encode() in path.read_bytes()]


async def everything(redis: Redis) -> bytes:
    """Every value in a server, as it is stored."""
    return b"".join([key + (await redis.dump(key) or b"") async for key in redis.scan_iter()])


@pytest.mark.parametrize("form", WORKING)
async def test_a_password_that_works_is_shown_and_stored_nowhere(
    server: tuple[Redis, str], form: str, tmp_path: Path, standin: Standin
) -> None:
    redis, place = server
    await hold(redis, "AAPL")
    program = Program(form.format(ENCODED, place), tmp_path, standin.base_url)
    async with program.running(redis, "-v") as process:
        await raise_tick(redis, "t", "AAPL")

        async def settled() -> bool:
            return bool(await redis.hexists("audit:{0}:ticks", "t"))

        await until(settled)
        check(await program.stop(process))
    for ended in await program.all(
        *COMMANDS, "status --json", "export out", "corpus add all out.jsonl", "feed missing.csv"
    ):
        check(ended)
    assert f"{place}/0" in (await program("status")).out
    assert files_with_the_secret(tmp_path) == []
    assert NEEDLE.encode() not in await everything(redis)


@pytest.mark.parametrize("form", REFUSED)
async def test_an_address_that_is_refused_is_not_shown(valkey_url: str, form: str, tmp_path: Path) -> None:
    program = Program(form.format(valkey_url.removeprefix("redis://").removesuffix("/0")), tmp_path)
    for ended in await program.all("status", "run --endpoint http://127.0.0.1:9/v1 --model m", "keys --json"):
        check(ended)
        assert ended.code in (2, 3)
    if "x@" in form and not form.startswith("embedded"):
        assert "percent-encode it" in (await program("status")).err


async def test_a_wrong_password_is_not_shown(valkey: Redis, valkey_url: str, tmp_path: Path) -> None:
    assert await valkey.ping()
    ended = await Program(valkey_url.replace("//", "//nobody:hunterTwo@"), tmp_path)("status")
    check(ended)
    assert ended.code == 3
    assert "Check user, password" in ended.err
