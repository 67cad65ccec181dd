"""The runbooks of docs/operations, carried out: the page's own commands, on a server that has what they are about.

`redis-cli` is the real one; `systemctl` is a script that starts, stops and kills `llmctx run` as the unit file says.
"""

import asyncio
import contextlib
import os
import re
import shutil
import textwrap
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from llmctx.connection import connect
from llmctx.llm.standin import MODEL, Standin
from llmctx.trail.log.lease import read_holder
from llmctx.trail.log.log import Log
from tests import prefork
from tests.conftest import ROOT, binary_of
from tests.faults.conftest import Server
from tests.faults.sentinels import Group
from tests.integration.conftest import hold, raise_tick
from tests.integration.program import Ended, until

PAGE = (ROOT / "docs" / "operations" / "runbooks.md").read_text(encoding="utf-8")
pytestmark = [pytest.mark.more, pytest.mark.timeout(240)]

SYSTEMCTL = """#!/bin/bash
# systemctl start|stop|restart|kill [--signal=SIGNAL] llmctx
set -eu
running() { [ -f "$HOME/pid" ] && grep -q "^State:.[^Z]" "/proc/$(cat "$HOME/pid")/status" 2>/dev/null; }  # no zombie
start() {
  set -a; . "$HOME/worker.env"; set +a
  llmctx run </dev/null >>"$HOME/worker.log" 2>&1 & echo $! > "$HOME/pid"
}
stop() { running && kill "$(cat "$HOME/pid")"; while running; do sleep 0.05; done; rm -f "$HOME/pid"; }
case $1 in
  start) running || start ;;
  stop) stop || true ;;
  restart) stop || true; start ;;
  kill) kill -KILL "$(cat "$HOME/pid")"; while running; do sleep 0.05; done; start ;;  # Restart=always
esac
"""


def blocks(title: str) -> list[str]:
    """The commands of one section of the page, block by block."""
    section = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert section is not None, title
    return [
        textwrap.dedent(block) for block in re.findall(r"^ *```sh\n(.*?)^ *```$", section[1], re.MULTILINE | re.DOTALL)
    ]


class Desk:
    """A machine as docs/operations/deploy.md sets it up, in a folder: a service, its settings, and a shell."""

    def __init__(self, url: str, folder: Path, endpoint: str) -> None:
        self.folder = folder
        programs = folder / "bin"
        programs.mkdir()
        (programs / "llmctx").symlink_to(prefork.INSTALLED)
        (programs / "systemctl").write_text(SYSTEMCTL)
        (programs / "systemctl").chmod(0o700)
        self.environment = {
            "PATH": f"{programs}:/usr/bin:/bin", "HOME": str(folder), "PYTHONPATH": str(ROOT), "COLUMNS": "200",
            "LLMCTX_REDIS_URL": url, "LLMCTX_STATE_DIR": str(folder / "var"), "ADMIN_URL": url,
            "BACKUPS": str(folder / "backups"), "LLMCTX_LLM__BASE_URL": endpoint, "LLMCTX_LLM__MODEL": MODEL,
        }  # fmt: skip
        self.moves_to(url)

    def moves_to(self, url: str) -> None:
        """Write the server's address into the settings of the service."""
        (self.folder / "worker.env").write_text(f"LLMCTX_REDIS_URL={url}\n")
        self.environment["LLMCTX_REDIS_URL"] = url

    async def carry_out(self, block: str) -> Ended:
        """What a block of commands ends with; the first command that fails ends it."""
        with (self.folder / "said").open("w+b") as out, (self.folder / "erred").open("w+b") as err:
            process = await asyncio.create_subprocess_exec(
                "bash", "-euo", "pipefail", "-c", block, cwd=self.folder, env=self.environment, stdout=out, stderr=err
            )
            code = await asyncio.wait_for(process.wait(), 120)  # a service in the background keeps pipes open
            out.seek(0)
            err.seek(0)
            ended = Ended(code, out.read().decode(), err.read().decode())
        assert "Traceback" not in ended.err, ended.err[-3000:]
        return ended

    async def does(self, *commands: str) -> str:
        """What blocks print that succeed."""
        said = ""
        for block in commands:
            ended = await self.carry_out(block)
            assert ended.code == 0, f"{block}\n{ended.out}\n{ended.err}"
            said += ended.out
        return said

    def log(self) -> str:
        """What the service has logged."""
        return (self.folder / "worker.log").read_text()


@pytest.fixture
async def desk(server: Server, client: Redis, tmp_path: Path, standin: Standin) -> AsyncIterator[Desk]:
    """A desk whose service has decided three ticks, and has signed them."""
    async with serving(server.url, client, tmp_path, standin) as made:
        yield made


@contextlib.asynccontextmanager
async def serving(url: str, client: Redis, folder: Path, standin: Standin) -> AsyncIterator[Desk]:
    made = Desk(url, folder, standin.base_url)
    await hold(client, "AAPL")
    await made.does("systemctl start llmctx")
    try:
        await settle(client, "one", "two", "three")
        yield made
    finally:
        await made.carry_out("systemctl stop llmctx")


async def settle(redis: Redis, *ticks: str) -> None:
    """Raise ticks, and wait until the last one is settled."""
    for tick in ticks:
        await raise_tick(redis, tick, "AAPL")
    await until(lambda: settled(redis, ticks[-1]))


async def settled(redis: Redis, tick: str) -> bool:
    records = [entry.record async for entry in Log(redis).read()]
    return any(tick in (record.get("tick"), *record.get("conflated", [])) for record in records)


async def test_a_full_memory_gets_room_and_then_a_larger_server(desk: Desk, client: Redis, tmp_path: Path) -> None:
    room, look, move, start = blocks("The memory is full")
    await client.config_set("maxmemory", int((await client.info("memory"))["used_memory"] / 0.92))
    await until(lambda: "No more ticks are taken" in desk.log())
    await raise_tick(client, "waits", "AAPL")
    assert '"takes_ticks": false' in (await desk.carry_out("llmctx status --json")).out
    assert "red    memory" in (await desk.carry_out("llmctx doctor")).out
    await desk.does(room)
    await until(lambda: settled(client, "waits"))
    assert "positions:active" in await desk.does(look)
    larger = Server(binary_of("valkey"), tmp_path / "larger")
    larger.directory.mkdir()
    larger.start()
    try:
        await desk.does(move.replace("redis://127.0.0.1:6390/0", larger.url))
        desk.moves_to(larger.url)
        moved = connect(larger.url)
        await desk.does(start)
        await settle(moved, "there")
        await desk.does("llmctx verify")
        await moved.aclose()
    finally:
        await desk.carry_out("systemctl stop llmctx")
        larger.kill()


async def die_and_forget(server: Server, kept: Path) -> None:
    """The server dies, and comes back on what its disk had earlier."""
    server.kill()
    shutil.rmtree(server.directory / "appendonlydir")
    shutil.copytree(kept, server.directory / "appendonlydir")
    await asyncio.to_thread(server.start)


async def test_a_lost_tail_comes_back_or_is_named(desk: Desk, client: Redis, server: Server) -> None:
    see, export = blocks("The end of the log is lost")
    kept = desk.folder / "kept"
    shutil.copytree(server.directory / "appendonlydir", kept)
    await settle(client, "four", "five")
    await die_and_forget(server, kept)
    await until(lambda: "Redis had forgotten" in desk.log())
    await desk.does("llmctx verify")
    await desk.does("systemctl stop llmctx")
    await die_and_forget(server, kept)
    shutil.rmtree(desk.folder / "var" / "spool")
    await desk.does("systemctl start llmctx")
    await settle(client, "six")
    said = await desk.does(see)
    assert "intact, with losses" in said
    assert '"what":"lost"' in said.replace(" ", "")
    await desk.does(export, 'llmctx verify --from "$BACKUPS/export-with-loss"')


async def test_a_worker_that_hangs_is_killed_and_its_ticks_are_settled(desk: Desk, client: Redis) -> None:
    (kill,) = blocks("A partition is stuck")
    os.kill(int((desk.folder / "pid").read_text()), 19)  # SIGSTOP
    await raise_tick(client, "waits", "AAPL")
    await desk.does(kill)
    async with asyncio.timeout(60):
        await until(lambda: settled(client, "waits"))
    await desk.does("llmctx verify")


async def test_an_emptied_server_is_restored_or_replaced_by_a_new_trail(desk: Desk, client: Redis) -> None:
    look, restore, start, anew = blocks("The server was restored, or is another one")
    await desk.does('llmctx backup --to "$BACKUPS"')
    await settle(client, "newer")
    await client.flushall()
    await desk.does("systemctl restart llmctx")
    await until(lambda: "now it has none" in desk.log())
    await desk.does(look, restore, start)
    await until(lambda: settled(client, "newer"))  # from the spool
    await desk.does("llmctx verify")
    await client.flushall()
    stop, run = anew.strip().splitlines()
    await desk.does(stop)
    process = await asyncio.create_subprocess_shell(f"exec {run}", cwd=desk.folder, env=desk.environment)
    await until(lambda: read_holder(client, 0))
    process.terminate()
    assert await process.wait() == 0
    await hold(client, "AAPL")
    await desk.does("systemctl start llmctx")
    await settle(client, "new")
    await desk.does("llmctx verify")


async def test_keys_that_are_lost_or_stolen_are_replaced(desk: Desk, client: Redis) -> None:
    retire, put_back, rotate = blocks("A key is lost")
    keys = desk.folder / "var" / "keys"
    for path in keys.glob("*-writer*"):
        path.unlink()
    await desk.does("systemctl restart llmctx")
    await settle(client, "by a new writer")
    await desk.does(retire)
    await settle(client, "by another")
    copy = desk.folder / "copy"
    copy.mkdir()
    for path in [path for path in keys.iterdir() if "-writer" not in path.name]:
        shutil.move(path, copy / path.name)
    desk.environment["COPY"] = str(copy)
    assert "llmctx/" in await desk.does(put_back)
    await settle(client, "signed")
    await desk.does(rotate)
    await settle(client, "rotated")
    await desk.does("llmctx verify")


async def test_after_a_failover_the_trail_goes_on_and_the_old_primary_is_a_replica(
    tmp_path: Path, standin: Standin
) -> None:
    look, replicas = blocks("The primary has failed over")
    group = Group(tmp_path)
    try:
        await asyncio.to_thread(group.start)
        await group.until_watched()
        client = connect(group.url)
        async with serving(group.url, client, tmp_path, standin) as desk:
            dead = await group.kill_primary()
            await group.until_failed_over(dead)
            await settle(client, "four")
            assert "owner" in await desk.does(look)
            await group.revive(dead)
            await group.until_watched()
            sentinel = re.search(r":(\d+)", group.url.partition("//")[2])
            assert sentinel is not None
            said = await desk.does(replicas.replace("26379", sentinel[1]))
            assert said.split().count("runid") == 2
        await client.aclose()
    finally:
        group.stop()
