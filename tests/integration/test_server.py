"""Both servers apply redis.conf, and the embedded one keeps its data."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import pytest
from redis.asyncio import Redis

from llmctx.connection import check, connect
from llmctx.errors import ServerError
from llmctx.ops.server import EmbeddedServer
from tests.conftest import ROOT, SERVERS, debian_redis, free_port
from tests.integration.program import until

_UNITS = {"2gb": str(2 * 1024**3)}


def settings_of_redis_conf() -> dict[str, str]:
    lines = (ROOT / "redis.conf").read_text(encoding="utf-8").splitlines()
    pairs = [line.split(maxsplit=1) for line in lines if line and not line.startswith("#")]
    return {name: _UNITS.get(value, value) for name, value in pairs}


SETTINGS = settings_of_redis_conf()
DOCUMENTED = {
    "maxmemory": str(2 * 1024**3),
    "maxmemory-policy": "volatile-lru",
    "appendonly": "yes",
    "appendfsync": "everysec",
    "bind": "127.0.0.1",
    "port": "6379",
    "protected-mode": "yes",
}


def test_redis_conf_matches_the_schema_document() -> None:
    assert SETTINGS == DOCUMENTED


@pytest.mark.parametrize("name", sorted(DOCUMENTED.keys() - {"port"}))
async def test_each_setting_of_redis_conf_is_applied(redis: Redis, name: str) -> None:
    assert await redis.config_get(name) == {name: DOCUMENTED[name]}


async def test_the_server_listens_on_the_port_that_it_was_given(redis: Redis, redis_url: str) -> None:
    port = redis_url.rpartition(":")[2].removesuffix("/0")
    assert await redis.config_get("port") == {"port": port}


async def test_each_server_is_new_enough(redis: Redis, redis_url: str) -> None:
    assert (await check(redis, redis_url)).split()[0] in ("Valkey", "Redis")


async def read(url: str, key: str) -> bytes | None:
    client = connect(url)
    try:
        return cast("bytes | None", await client.get(key))
    finally:
        await client.aclose()


async def write(url: str, key: str, value: str) -> None:
    client = connect(url)
    try:
        await client.set(key, value)
    finally:
        await client.aclose()


async def test_the_embedded_server_keeps_its_data_over_a_restart(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path / "data") as first:
        await write(first.url, "kept", "value")
    with EmbeddedServer(tmp_path / "data") as second:
        assert await read(second.url, "kept") == b"value"


@pytest.mark.parametrize("name", ["my data", "it's #1"])
async def test_a_folder_may_have_spaces_and_quotes(tmp_path: Path, name: str) -> None:
    with EmbeddedServer(tmp_path / name) as first:
        await write(first.url, "kept", "value")
    with EmbeddedServer(tmp_path / name) as second:
        assert await read(second.url, "kept") == b"value"


def test_a_folder_serves_one_embedded_server_at_a_time(tmp_path: Path) -> None:
    with (
        EmbeddedServer(tmp_path / "data"),
        pytest.raises(ServerError, match="another embedded server"),
        EmbeddedServer(tmp_path / "data"),
    ):
        pass
    with EmbeddedServer(tmp_path / "data") as again:
        assert again.running


def test_a_taken_port_is_an_error_that_names_what_to_do(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ServerError, match="--port") as error, EmbeddedServer(tmp_path / "data", port=port):
            pass
    assert error.value.exit_code == 3
    assert len(error.value.what.splitlines()) <= 3


async def test_a_server_that_stopped_is_no_longer_running(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path / "data") as server:
        assert server.running
        client = connect(server.url, retries=0)
        await client.shutdown(nosave=True)
        await client.aclose()
        await until(lambda: not server.running)  # its last act is to close the connection


@pytest.mark.parametrize("name", SERVERS)
async def test_the_data_of_a_server_survive_a_restart(tmp_path: Path, name: str) -> None:
    with started(name, tmp_path) as url:
        await write(url, "kept", "value")
    with started(name, tmp_path) as url:
        assert await read(url, "kept") == b"value"


@contextmanager
def started(name: str, directory: Path) -> Iterator[str]:
    """The address of one of SERVERS, while it runs."""
    if name == "redis":
        with debian_redis(directory) as url:
            yield url
    else:
        with EmbeddedServer(directory) as server:
            yield server.url


async def test_a_missing_server_is_an_error_that_names_the_address() -> None:
    url = f"redis://127.0.0.1:{free_port()}/0"
    client = connect(url, retries=0)
    with pytest.raises(ServerError, match=url):
        await check(client, url)
    await client.aclose()


@pytest.mark.parametrize("url", ["nonsense", "http://127.0.0.1:6379", "redis://127.0.0.1:port/0"])
def test_a_malformed_address_is_an_error(url: str) -> None:
    with pytest.raises(ServerError, match="is not a Redis address"):
        connect(url)
