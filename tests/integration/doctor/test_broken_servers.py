"""Servers that are broken from their start: each is named, with what follows and what to do, and the doctor goes on."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from redis.asyncio import Redis

from llmctx.connection import connect
from llmctx.errors import ServerError
from llmctx.functions import execute
from llmctx.ops.doctor.finding import Finding
from llmctx.ops.doctor.subject import Places
from tests.conftest import binary_of, start_server
from tests.integration.doctor.conftest import examined
from tests.integration.program import until


@contextmanager
def started(folder: Path, *options: str) -> Iterator[str]:
    """The address of a server that was started with these options."""
    process, port = start_server(binary_of("valkey"), folder, *options)
    try:
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.kill()
        process.wait(60)


def told(finding: Finding, level: str, what: str, do: str) -> None:
    assert (finding.level, what in finding.what, do in finding.do) == (level, True, True), finding


async def test_users_alone_keep_strangers_out(tmp_path: Path, places: Places) -> None:
    with started(tmp_path, "--bind", "0.0.0.0", "--protected-mode", "no") as url:
        told((await examined(url, places))["exposure"], "red", "asks for no password", "turn the default one off")
        admin = connect(url)
        await execute(admin, "ACL", "SETUSER", "desk", "on", ">pw", "~*", "&*", "+@all")
        told((await examined(url, places))["exposure"], "red", "asks for no password", "turn the default one off")
        await execute(admin, "ACL", "SETUSER", "default", "off")
        await admin.aclose()
        found = await examined(url.replace("//", "//desk:pw@"), places)
        assert (found["exposure"].level, "refuses whoever names no user" in found["exposure"].what) == ("green", True)


@pytest.mark.more
async def test_commands_that_were_renamed_are_named(tmp_path: Path, places: Places) -> None:
    with started(tmp_path, "--rename-command", "CONFIG", "", "--rename-command", "FUNCTION", "XFUNCTION") as url:
        found = await examined(url, places)
        for name in ("exposure", "functions", "config maxmemory"):
            told(found[name], "amber", "unknown command", "rename-command")
        assert found["persistence"].level == "green"


@pytest.mark.more
@pytest.mark.parametrize(
    ("options", "command", "do"),
    [
        (("--rename-command", "INFO", ""), "PING", "rename-command"),
        ((), "CONFIG SET requirepass secret", "Check user, password"),
        ((), "ACL SETUSER default -@all +ping", "llmctx acl"),
        ((), "CONFIG SET maxclients 1", "Raise maxclients"),
    ],
)
async def test_a_server_that_tells_nothing_says_why(
    tmp_path: Path, places: Places, options: tuple[str, ...], command: str, do: str
) -> None:
    with started(tmp_path, *options) as url:
        client = connect(url)
        await execute(client, *command.split())  # and it stays connected
        with pytest.raises(ServerError) as refused:
            await examined(url, places)
        await client.aclose()
    assert do in refused.value.do


@pytest.mark.more
async def test_a_server_that_is_held_up_is_told_from_one_that_is_away(tmp_path: Path, places: Places) -> None:
    with started(tmp_path) as url:
        client = connect(url)
        await client.client_pause(20_000)
        await client.aclose()
        with pytest.raises(ServerError) as refused:
            await examined(url, places)
    assert "takes connections but does not reply" in refused.value.do


@pytest.mark.more
async def test_connections_that_are_cut_off_are_counted(tmp_path: Path, places: Places) -> None:
    with started(tmp_path, "--client-output-buffer-limit", "normal 1kb 1kb 1") as url:
        told((await examined(url, places))["memory"], "amber", "unknown: ConnectionError", "client-output-buffer-limit")
        told((await examined(url, places))["connections"], "amber", "closed by client-output-buffer-limit", "raise")


@pytest.mark.more
async def test_a_replica_whose_primary_is_gone_is_told(tmp_path: Path, places: Places) -> None:
    with started(tmp_path, "--replica-serve-stale-data", "no") as url:
        client = connect(url)
        await execute(client, "REPLICAOF", "127.0.0.1", "9")
        await client.aclose()
        found = await examined(url, places)
        told(found["role"], "red", "a replica of 127.0.0.1:9, link down", "REPLICAOF NO ONE")
        told(found["functions"], "amber", "a replica does not tell", "Ask the primary")


async def has_failed(client: Redis) -> bool:
    return str((await client.info("persistence"))["rdb_last_bgsave_status"]) == "err"


@pytest.mark.more
async def test_a_disk_that_takes_nothing_any_more_is_found(tmp_path: Path, places: Places) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    with started(folder) as url:
        client = connect(url)
        shutil.rmtree(folder)
        await execute(client, "BGSAVE")
        await until(lambda: has_failed(client))
        await client.aclose()
        told((await examined(url, places))["last_save"], "red", "the last snapshot failed", "free space")
