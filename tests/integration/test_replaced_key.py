"""Another key file lies where the instance key was: every command says so, nothing is lost, and nothing is signed with it."""

import asyncio
import shutil
from pathlib import Path

import pytest
from redis.asyncio import Redis

from llmctx.errors import KeyFileError
from llmctx.replay.verify import verify_log
from llmctx.trail.log.instance import Instance, bind_instance, read_state_instance
from llmctx.trail.log.log import Log
from llmctx.trail.proof.checkpoint import key_name_of, read_note
from llmctx.trail.proof.join import approve, make_request
from llmctx.trail.proof.key import SigningKey, key_file, load_key, public_file
from llmctx.trail.proof.notary_service import cover_now, serve_notary
from llmctx.trail.proof.replaced import replaced_key
from llmctx.trail.proof.writer import writer_name
from llmctx.worker.home import TrailHome
from llmctx.worker.owner import Owner
from llmctx.worker.rotate import rotate_instance_key
from tests.integration.conftest import hold, leaves, raise_tick
from tests.integration.program import Program, until

SAID = "is not the one that signed this trail"


class Swapped:
    """A state directory whose instance key can be replaced by another one, and put back."""

    def __init__(self, state_dir: Path) -> None:
        instance = read_state_instance(state_dir)
        assert instance is not None
        self.instance: Instance = instance
        self.private, self.public = key_file(state_dir, instance.id), public_file(state_dir, instance.id)
        self._kept = self.private.read_bytes(), self.public.read_bytes()

    def swap(self, *, private: bool = True, public: bool = True) -> SigningKey:
        other = SigningKey.new(key_name_of(self.instance.id))
        if private:
            self.private.write_text(other.text, encoding="utf-8")
        if public:
            self.public.write_text(other.key.text, encoding="utf-8")
        return other

    def put_back(self) -> None:
        self.private.write_bytes(self._kept[0])
        self.public.write_bytes(self._kept[1])


async def signed(redis: Redis) -> int:
    """How many records the checkpoint in Redis covers."""
    note = await Log(redis).checkpoint()
    return 0 if note is None else read_note(note).size


async def until_recorded(redis: Redis, tick: str) -> None:
    await until(lambda: _is_recorded(redis, tick))


async def _is_recorded(redis: Redis, tick: str) -> bool:
    return (await Log(redis).settled([tick]))[0] is not None


@pytest.mark.more
@pytest.mark.parametrize("which", ["both", "private"])
async def test_records_go_on_and_are_signed_once_it_is_put_back(valkey: Redis, program: Program, which: str) -> None:
    await hold(valkey, "AAPL")
    await raise_tick(valkey, "before", "AAPL")
    async with program.running(valkey) as process:
        await until_recorded(valkey, "before")
        await until(lambda: signed(valkey))
        await program.stop(process)
    covered, swapped = await signed(valkey), Swapped(program.folder / "var")
    other = swapped.swap(public=which == "both")
    await raise_tick(valkey, "meanwhile", "AAPL")
    async with program.running(valkey) as process:
        await until_recorded(valkey, "meanwhile")
        told = await program.all("status", "doctor --json", "verify", "status --json")
        for ended in told:
            assert SAID in ended.out + ended.err
            assert other.key.id.hex() in ended.out + ended.err
            assert f"partition 0 from {covered} on, since 2" in ended.out + ended.err
        assert [ended.code for ended in told] == [0, 1, 1 if which == "both" else 0, 0]
        assert await signed(valkey) == covered
        swapped.put_back()
        await until(lambda: _covers_all(valkey))
        ended = await program.stop(process)
    assert SAID in ended.err
    assert ended.code == 0
    assert (await program("verify")).code == 0
    assert SAID not in (await program("status")).out


async def _covers_all(redis: Redis) -> bool:
    return await signed(redis) >= await Log(redis).size()


@pytest.fixture
async def trail(valkey: Redis, valkey_url: str, tmp_path: Path) -> TrailHome:
    """A trail with a record and a checkpoint."""
    instance, _ = await bind_instance(valkey, tmp_path)
    home = TrailHome(valkey, valkey_url, instance, tmp_path)
    async with Owner(home) as owner:
        await owner.note("something")
    await cover_now(valkey, instance, tmp_path, load_key(tmp_path, instance.id))
    return home


async def test_it_enrols_nobody_and_replaces_no_key(trail: TrailHome, tmp_path: Path) -> None:
    swapped = Swapped(tmp_path)
    request = make_request(tmp_path / "second", trail.instance)
    swapped.swap()
    with pytest.raises(KeyFileError, match=SAID):
        approve(tmp_path, request)
    with pytest.raises(KeyFileError, match=SAID):
        await rotate_instance_key(trail)
    (tmp_path / "keys" / writer_name(trail.instance.id)).unlink()  # the next worker makes one, and has it enrolled
    (tmp_path / "keys" / f"{writer_name(trail.instance.id)}.pub").unlink()
    size = await Log(trail.redis).size()
    with pytest.raises(KeyFileError, match=SAID):
        async with Owner(trail):
            pass
    assert await Log(trail.redis).size() == size
    swapped.put_back()
    async with Owner(trail) as owner:
        await owner.note("something more")
    assert (await verify_log(Log(trail.redis))).fault is None


async def test_no_key_is_made_where_one_has_signed(trail: TrailHome, tmp_path: Path) -> None:
    shutil.move(tmp_path / "keys", tmp_path / "elsewhere")
    with pytest.raises(KeyFileError, match="is gone, though it has signed this trail"):
        await serve_notary(trail.redis, trail.instance, tmp_path, asyncio.Event())
    size = await Log(trail.redis).size()
    with pytest.raises(KeyFileError, match="is gone, though it has signed this trail"):
        async with Owner(trail):
            pass
    shutil.rmtree(tmp_path / "anchor")
    with pytest.raises(KeyFileError, match="may not write to this trail"):
        async with Owner(trail):
            pass
    assert not key_file(tmp_path, trail.instance.id).exists()
    assert await Log(trail.redis).size() == size


async def test_a_public_key_that_was_replaced_costs_no_signature(trail: TrailHome, tmp_path: Path) -> None:
    swapped = Swapped(tmp_path)
    swapped.swap(private=False)
    found = replaced_key(tmp_path, trail.instance.id)
    assert found is not None
    assert (found.file, found.signs) == (swapped.public, True)
    async with Owner(trail) as owner:
        await owner.note("something more")
    swapped.public.unlink()
    assert replaced_key(tmp_path, trail.instance.id) is None
    assert all("proof" not in leaf for leaf in await leaves(trail.redis))


async def test_a_key_that_a_notice_has_replaced_is_no_trouble(trail: TrailHome, tmp_path: Path) -> None:
    await rotate_instance_key(trail)
    assert replaced_key(tmp_path, trail.instance.id) is None
    async with Owner(trail) as owner:
        await owner.note("something more")
    assert replaced_key(tmp_path, trail.instance.id) is None
