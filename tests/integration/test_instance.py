"""Redis and the state directory belong to the same instance, or nothing is written."""

import asyncio
import json
from pathlib import Path

import pytest
from redis.asyncio import Redis

from llmctx.connection import connect
from llmctx.errors import InstanceError, TrailError
from llmctx.trail.log.instance import Instance, bind_instance, read_instance
from tests.conftest import free_port


def file_of(state_dir: Path) -> Instance:
    document = json.loads((state_dir / "instance.json").read_text())
    return Instance(document["id"], document["partitions"])


async def test_neither_side_has_one_so_it_is_made_on_both(redis: Redis, tmp_path: Path) -> None:
    instance, made = await bind_instance(redis, tmp_path / "var", partitions=3)
    assert made
    assert instance.partitions == 3
    assert await read_instance(redis) == file_of(tmp_path / "var") == instance


async def test_both_sides_have_the_same_so_it_is_taken(redis: Redis, tmp_path: Path) -> None:
    first, _ = await bind_instance(redis, tmp_path)
    assert await bind_instance(redis, tmp_path) == (first, False)


@pytest.mark.parametrize("new", [False, True])
async def test_only_redis_has_one_so_the_directory_must_join_it(redis: Redis, tmp_path: Path, *, new: bool) -> None:
    await bind_instance(redis, tmp_path / "one", partitions=2)
    with pytest.raises(InstanceError, match="has not joined the trail in Redis") as error:
        await bind_instance(redis, tmp_path / "two", new=new)
    assert (error.value.exit_code, "llmctx join" in error.value.do) == (3, True)
    assert not (tmp_path / "two").exists()


async def test_an_instance_whose_maker_was_killed_before_it_wrote_its_file_is_kept(
    redis: Redis, tmp_path: Path
) -> None:
    first, _ = await bind_instance(redis, tmp_path)
    (tmp_path / "instance.json").rename(tmp_path / "instance.new.json")
    assert await bind_instance(redis, tmp_path) == (first, False)
    assert file_of(tmp_path) == first


async def test_only_the_directory_has_one_so_nothing_is_written(redis: Redis, tmp_path: Path) -> None:
    first, _ = await bind_instance(redis, tmp_path)
    await redis.flushall()
    with pytest.raises(InstanceError, match="Redis has none") as error:
        await bind_instance(redis, tmp_path)
    assert error.value.exit_code == 3
    assert await redis.dbsize() == 0
    assert file_of(tmp_path) == first


async def test_the_two_differ_so_nothing_is_written(redis: Redis, tmp_path: Path) -> None:
    here, _ = await bind_instance(redis, tmp_path / "here")
    await redis.flushall()
    there, _ = await bind_instance(redis, tmp_path / "there")
    with pytest.raises(InstanceError, match=f"instance {here.id}, but Redis has instance {there.id}"):
        await bind_instance(redis, tmp_path / "here")
    assert file_of(tmp_path / "here") == here
    assert await read_instance(redis) == there


async def test_the_refusal_names_the_options_that_mend_it(redis: Redis, tmp_path: Path) -> None:
    await bind_instance(redis, tmp_path)
    await redis.flushall()
    with pytest.raises(InstanceError, match=r"--redis-url or --state-dir.*--new-instance"):
        await bind_instance(redis, tmp_path)


async def test_new_instance_keeps_the_old_file_beside_the_new_one(redis: Redis, tmp_path: Path) -> None:
    old, _ = await bind_instance(redis, tmp_path)
    old_file = (tmp_path / "instance.json").read_bytes()
    await redis.flushall()
    new, made = await bind_instance(redis, tmp_path, new=True)
    assert made
    assert new.id != old.id
    assert file_of(tmp_path) == new
    assert (tmp_path / f"instance.{old.id}.json").read_bytes() == old_file


async def test_new_instance_changes_nothing_where_both_agree(redis: Redis, tmp_path: Path) -> None:
    first, _ = await bind_instance(redis, tmp_path)
    assert await bind_instance(redis, tmp_path, new=True) == (first, False)
    assert list(map(str, tmp_path.iterdir())) == [str(tmp_path / "instance.json")]  # noqa: ASYNC240  a test


async def test_partitions_are_fixed_once_the_instance_is_made(redis: Redis, tmp_path: Path) -> None:
    await bind_instance(redis, tmp_path, partitions=2)
    instance, _ = await bind_instance(redis, tmp_path, partitions=8)
    assert instance.partitions == 2


async def test_of_many_that_start_at_once_all_get_the_same_instance(redis: Redis, tmp_path: Path) -> None:
    bound = await asyncio.gather(*(bind_instance(redis, tmp_path, partitions=n) for n in range(1, 9)))
    assert {instance for instance, _ in bound} == {file_of(tmp_path)}
    assert [made for _, made in bound].count(True) == 1


async def test_the_instance_has_no_ttl(redis: Redis, tmp_path: Path) -> None:
    await bind_instance(redis, tmp_path)
    assert await redis.ttl("audit:instance") == -1


async def test_an_unknown_format_is_refused(redis: Redis, tmp_path: Path) -> None:
    await bind_instance(redis, tmp_path)
    await redis.hset("audit:instance", "format", "3")
    with pytest.raises(TrailError, match="format 3"):
        await bind_instance(redis, tmp_path)


async def test_an_instance_key_of_another_type_is_a_trail_error(redis: Redis, tmp_path: Path) -> None:
    await redis.set("audit:instance", "x")
    with pytest.raises(TrailError, match="is not a hash"):
        await bind_instance(redis, tmp_path)


@pytest.mark.parametrize("content", ["", "no json", '{"id": "x"}'])
async def test_a_broken_file_is_an_error_that_names_it(redis: Redis, tmp_path: Path, content: str) -> None:
    (tmp_path / "instance.json").write_text(content)
    with pytest.raises(InstanceError, match=r"instance\.json cannot be read"):
        await bind_instance(redis, tmp_path)
    assert await redis.dbsize() == 0


@pytest.mark.parametrize("content", ["[]", "null", "1"])
async def test_a_file_that_holds_no_object_is_an_error_that_names_it(
    redis: Redis, tmp_path: Path, content: str
) -> None:
    (tmp_path / "instance.json").write_text(content)
    with pytest.raises(InstanceError, match=r"instance\.json cannot be read"):
        await bind_instance(redis, tmp_path)


async def test_a_file_in_place_of_the_directory_is_an_error(redis: Redis, tmp_path: Path) -> None:
    (tmp_path / "var").write_text("a file")
    with pytest.raises(InstanceError, match="cannot be read"):
        await bind_instance(redis, tmp_path / "var")


async def test_a_directory_that_cannot_be_made_is_an_error_that_names_it(redis: Redis) -> None:
    with pytest.raises(InstanceError, match="/proc/nowhere"):
        await bind_instance(redis, Path("/proc/nowhere"))


async def test_a_server_that_is_not_there_is_a_trail_error(tmp_path: Path) -> None:
    client = connect(f"redis://127.0.0.1:{free_port()}/0", retries=0)
    with pytest.raises(TrailError, match="could not be read"):
        await bind_instance(client, tmp_path)
    await client.aclose()
