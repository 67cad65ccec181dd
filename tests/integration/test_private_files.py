"""What llmctx writes for itself can be read by this user alone, whatever the umask."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from llmctx.connection import connect
from llmctx.ops.server import EmbeddedServer
from llmctx.private_files import make_private_directory, write_private
from tests.integration.conftest import hold
from tests.integration.program import Program


def modes(directory: Path) -> dict[str, int]:
    """The mode of a folder and of everything in it, by path."""
    return {str(path): path.stat().st_mode & 0o777 for path in (directory, *directory.rglob("*"))}


def too_open(directory: Path) -> dict[str, str]:
    """What others may read, write or enter."""
    return {path: oct(mode) for path, mode in modes(directory).items() if mode & 0o077}


@pytest.fixture(params=[0o000, 0o022])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    """A umask that hides nothing, or what most systems set."""
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


@pytest.mark.parametrize("mask", [0o000, 0o022])
async def test_the_state_directory_is_this_users_alone(program: Program, valkey: Redis, mask: int) -> None:
    await hold(valkey, "AAPL")
    process = await program.start("decide", "AAPL", before=f"import os; os.umask({mask})")
    assert (await program.ended(process)).code == 0
    async with program.running(valkey) as running:
        await program.stop(running)
    state = program.folder / "var"
    assert {path.name for path in state.iterdir()} >= {"instance.json", "spool", "anchor", "keys"}
    assert too_open(state) == {}


async def test_the_embedded_servers_data_is_this_users_alone_after_a_rewrite_too(tmp_path: Path, umask: int) -> None:
    with EmbeddedServer(tmp_path / "var" / "redis") as server:
        client = connect(server.url)
        await client.set("kept", "value")
        await client.bgrewriteaof()
        await client.aclose()
    assert any(path.endswith(".aof") for path in modes(tmp_path / "var"))
    assert too_open(tmp_path / "var") == {}
    assert os.umask(umask) == umask


async def test_the_folder_of_an_older_embedded_server_is_closed_to_others(tmp_path: Path) -> None:
    (tmp_path / "redis").mkdir(mode=0o755)
    with EmbeddedServer(tmp_path / "redis"):
        assert too_open(tmp_path / "redis") == {}


def test_a_folder_that_exists_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(0o755)
    make_private_directory(tmp_path / "shared" / "a" / "b")
    assert list(modes(tmp_path / "shared").values()) == [0o755, 0o700, 0o700]


def test_a_file_in_the_way_of_a_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(NotADirectoryError):
            make_private_directory(path)


def test_a_file_that_others_could_read_is_closed_when_it_is_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch(mode=0o644)
    write_private(tmp_path / "file", "text")
    assert modes(tmp_path)[str(tmp_path / "file")] == 0o600
