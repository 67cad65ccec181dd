"""The notary: signs what is durable, never contradicts what it signed, and goes on after a kill at any write."""

import asyncio
import os
import shutil
from pathlib import Path

import pytest
from redis.asyncio import Redis

from llmctx import canonical
from llmctx.connection import server_ms
from llmctx.errors import ForkError, TrailError
from llmctx.trail.log.instance import Instance, bind_instance
from llmctx.trail.log.lease import lease_key
from llmctx.trail.log.log import Draft, Log
from llmctx.trail.proof import merkle, notary
from llmctx.trail.proof.checkpoint import Checkpoint, open_note
from llmctx.trail.proof.key import SigningKey, load_or_make_key
from llmctx.trail.proof.notary import Notary
from llmctx.trail.proof.notary_service import cover_now, serve_notary
from tests.conftest import present
from tests.integration.conftest import SETTLEMENT, draft, held_lease
from tests.integration.program import until
from tests.unit.makers import stored

CHECKPOINT = "audit:{0}:checkpoint"


class Scene:
    """A trail, and where its anchor lies."""

    def __init__(self, redis: Redis, state_dir: Path, instance: Instance, owner: str) -> None:
        self.redis, self.state_dir, self.instance, self.owner = redis, state_dir, instance, owner
        self.signing = load_or_make_key(state_dir, instance.id)
        self.log = Log(redis)

    def notary(self, signing: SigningKey | None = None, state_dir: Path | None = None) -> Notary:
        return Notary(self.redis, self.instance, 0, state_dir or self.state_dir, signing or self.signing)

    async def record(self, *ticks: str, durable: bool = True, recorded_ms: int | None = None) -> None:
        for tick in ticks:
            now_ms = await server_ms(self.redis) if recorded_ms is None else recorded_ms
            await self.log.append(at(draft(tick), now_ms), self.owner, SETTLEMENT)
        if durable:
            await self.redis.set("audit:{0}:durable", await self.log.size())

    async def signed(self) -> Checkpoint | None:
        """What one visit of a fresh notary signs."""
        visitor = self.notary()
        with visitor.anchor.lock():
            await visitor.open()
            return await visitor.attend()

    async def hashes(self) -> list[bytes]:
        return [merkle.leaf_hash(entry.leaf) async for entry in self.log.read()]

    async def told(self) -> Checkpoint:
        note = await self.redis.get(CHECKPOINT)
        assert isinstance(note, bytes)
        return open_note(note.decode(), self.signing.key)


def at(made: Draft, ms: int) -> Draft:
    return made._replace(leaf=canonical.dumps(canonical.loads(made.leaf) | {"recorded_at_ms": ms}))


@pytest.fixture
async def scene(redis: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    monkeypatch.setattr(notary, "MIN_INTERVAL_MS", 0)
    instance, _ = await bind_instance(redis, tmp_path)
    return Scene(redis, tmp_path, instance, (await held_lease(redis)).owner)


async def test_what_is_durable_is_signed_and_told(scene: Scene) -> None:
    await scene.record("a", "b", "c")
    signed = present(await scene.signed())
    hashes = await scene.hashes()
    assert (signed.origin, signed.size, signed.root) == (f"llmctx/{scene.instance.id}/0", 3, merkle.root(hashes))
    assert await scene.told() == signed
    anchor = scene.notary().anchor
    assert (anchor.hashes(), len(anchor.checkpoints())) == (hashes, 1)
    assert abs(signed.time_ms - await server_ms(scene.redis)) < 5000


async def test_what_is_not_durable_is_not_signed(scene: Scene) -> None:
    await scene.record("a", durable=False)
    assert await scene.signed() is None
    assert scene.notary().anchor.size == 0
    await scene.record("b")
    await scene.record("c", durable=False)
    signed = present(await scene.signed())
    assert signed.size == 2


async def test_the_next_notary_goes_on_where_the_last_one_ended(scene: Scene) -> None:
    for size in range(1, 8):
        await scene.record(f"t{size}")
        signed = present(await scene.signed())
        assert (signed.size, signed.root) == (size, merkle.root(await scene.hashes()))


async def test_checkpoints_are_a_second_apart(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    await scene.record("a")
    assert await scene.signed() is not None
    monkeypatch.setattr(notary, "MIN_INTERVAL_MS", 3_600_000)
    await scene.record("b")
    assert await scene.signed() is None


async def test_the_same_tree_is_signed_again_when_the_last_checkpoint_is_old(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    await scene.record("a")
    first = await scene.signed()
    assert await scene.signed() is None
    monkeypatch.setattr(notary, "MAX_SILENCE_MS", 0)
    again = await scene.signed()
    assert first is not None
    assert again is not None
    assert (again.size, again.root) == (first.size, first.root)
    assert len(scene.notary().anchor.checkpoints()) == 2


async def test_no_sign_of_life_is_given_while_records_wait_to_become_durable(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notary, "MAX_SILENCE_MS", 0)
    await scene.record("a")
    assert await scene.signed() is not None
    await scene.record("b", durable=False)
    assert await scene.signed() is None


async def test_a_checkpoint_that_comes_late_says_so_itself(scene: Scene) -> None:
    long_ago = await server_ms(scene.redis) - notary.LATE_MS - 5000
    await scene.record("a", recorded_ms=long_ago)
    await scene.record("b")
    first = await scene.signed()
    await scene.record("c")
    second = await scene.signed()
    assert first is not None
    assert second is not None
    assert (first.late_since_ms, second.late_since_ms) == (long_ago, None)


async def test_a_checkpoint_is_never_older_than_what_it_covers(scene: Scene) -> None:
    ahead = await server_ms(scene.redis) + 3_600_000  # the server's clock was set back since
    await scene.record("a", recorded_ms=ahead)
    signed = present(await scene.signed())
    assert signed.time_ms == ahead


KILLS = ["nothing written", "leaves torn", "leaves written", "note torn", "note written, Redis not told"]


@pytest.mark.parametrize("kill", KILLS)
async def test_after_a_kill_at_any_write_the_next_notary_goes_on(scene: Scene, kill: str) -> None:
    await scene.record("a")
    assert await scene.signed() is not None
    told = await scene.redis.get(CHECKPOINT)
    assert told is not None
    anchor = scene.notary().anchor
    await scene.record("b", "c")
    before = {name: (anchor.directory / name).stat().st_size for name in ("leaves", "checkpoints")}
    assert await scene.signed() is not None
    after = (anchor.directory / "checkpoints").stat().st_size
    keep = {
        "nothing written": (before["leaves"], before["checkpoints"]),
        "leaves torn": (before["leaves"] + 41, before["checkpoints"]),
        "leaves written": (before["leaves"] + 64, before["checkpoints"]),
        "note torn": (before["leaves"] + 64, after - 9),
        "note written, Redis not told": (before["leaves"] + 64, after),
    }[kill]
    os.truncate(anchor.directory / "leaves", keep[0])
    os.truncate(anchor.directory / "checkpoints", keep[1])
    await scene.redis.set(CHECKPOINT, told)
    await scene.record("d")
    signed = present(await scene.signed())
    assert (signed.size, signed.root) == (4, merkle.root(await scene.hashes()))
    assert await scene.told() == signed
    sizes = [open_note(note, scene.signing.key).size for note in anchor.checkpoints()]
    assert sizes == sorted(sizes)
    assert anchor.hashes() == await scene.hashes()


async def alter(redis: Redis, index: int) -> tuple[str, str]:
    """Another leaf at an index; the leaf hashes before and now."""
    log = Log(redis)
    entries = [entry async for entry in log.read()]
    await redis.delete("audit:{0}:log")
    for entry in entries:
        leaf = entry.leaf.replace(b"no reason", b"no season") if entry.index == index else entry.leaf
        await redis.xadd("audit:{0}:log", stored(leaf, entry.pieces), id=f"{entry.index}-1")  # type: ignore[arg-type]
    altered = present(await log.entry(index))
    return entries[index].leaf_hash, altered.leaf_hash


@pytest.mark.parametrize("index", [0, 1, 2])
async def test_an_altered_record_is_a_fork_and_nothing_is_signed(scene: Scene, index: int) -> None:
    await scene.record("a", "b", "c")
    assert await scene.signed() is not None
    there, other = await alter(scene.redis, index)
    await scene.record("d")
    with pytest.raises(ForkError, match=f"fork at index {index}.*{there}.*{other}"):
        await scene.signed()
    assert len(scene.notary().anchor.checkpoints()) == 1


async def test_a_notary_at_work_sees_that_the_newest_record_became_another_one(scene: Scene) -> None:
    await scene.record("a", "b")
    at_work = scene.notary()
    with at_work.anchor.lock():
        await at_work.open()
        assert await at_work.attend() is not None
        await alter(scene.redis, 1)
        await scene.record("c")
        with pytest.raises(ForkError, match="index 1"):
            await at_work.attend()


async def test_a_log_shorter_than_the_anchor_is_waited_for(scene: Scene) -> None:
    await scene.record("a", "b", "c")
    first = await scene.signed()
    await scene.redis.xdel("audit:{0}:log", "1-1", "2-1")
    assert await scene.signed() is None
    assert await scene.told() == first


async def test_a_lost_anchor_is_made_again_from_the_log_where_the_checkpoint_agrees(scene: Scene) -> None:
    await scene.record("a", "b", "c")
    first = await scene.signed()
    shutil.rmtree(scene.state_dir / "anchor")
    again = await scene.signed()
    assert first is not None
    assert again is not None
    assert (again.size, again.root) == (first.size, first.root)


async def test_a_lost_anchor_does_not_let_another_history_be_signed(scene: Scene) -> None:
    await scene.record("a", "b", "c")
    await scene.signed()
    shutil.rmtree(scene.state_dir / "anchor")
    await alter(scene.redis, 1)
    with pytest.raises(ForkError, match="checkpoint in Redis"):
        await scene.signed()


async def test_sizes_never_go_down(scene: Scene) -> None:
    await scene.record("a", "b", "c")
    await scene.signed()
    shutil.rmtree(scene.state_dir / "anchor")
    await scene.redis.set("audit:{0}:durable", 2)
    with pytest.raises(TrailError, match="Sizes never go down"):
        await scene.signed()


async def test_another_notary_with_another_key_is_told(scene: Scene) -> None:
    await scene.record("a")
    await scene.signed()
    other = scene.notary(SigningKey.new(scene.signing.key.name), scene.state_dir / "other")
    with other.anchor.lock(), pytest.raises(TrailError, match="is not this notary's"):
        await other.open()


async def test_a_gap_that_nothing_explains_is_not_signed(scene: Scene) -> None:
    await scene.record("a", "b", "c")
    assert await scene.log.entry(1) is not None
    await scene.redis.xdel("audit:{0}:log", "1-1")
    with pytest.raises(TrailError, match="lacks record 1"):
        await scene.signed()


async def test_a_service_signs_what_is_recorded_and_at_the_end_all_that_is_durable(scene: Scene) -> None:
    stop, signed = asyncio.Event(), list[Checkpoint]()
    await scene.record("a")
    task = asyncio.create_task(
        serve_notary(scene.redis, scene.instance, scene.state_dir, stop, on_checkpoint=signed.append)
    )
    await until(lambda: len(signed) == 1)
    await scene.record("b", "c")
    stop.set()
    await asyncio.wait_for(task, 120)
    assert [checkpoint.size for checkpoint in signed] == [1, 3]


async def test_a_second_notary_says_so_and_waits_for_the_first(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    stop, signed = asyncio.Event(), list[Checkpoint]()
    await scene.record("a")
    first = scene.notary()
    with first.anchor.lock():
        second = asyncio.create_task(
            serve_notary(
                scene.redis, scene.instance, scene.state_dir, stop,
                on_checkpoint=signed.append,
            )
        )  # fmt: skip
        await until(lambda: caplog.messages)
        assert "Another notary holds the anchor" in caplog.messages[0]
        assert not signed
    await until(lambda: signed)
    stop.set()
    await asyncio.wait_for(second, 120)
    assert len(caplog.messages) == 1


async def test_a_cancelled_notary_leaves_a_state_from_which_the_next_one_goes_on(scene: Scene) -> None:
    await scene.record("a")
    await scene.signed()
    for pauses in range(40):
        await scene.record(f"t{pauses}")
        task = asyncio.create_task(scene.signed())
        for _ in range(pauses):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
    signed = await scene.signed()
    assert signed is None or signed.size == 41
    assert scene.notary().anchor.hashes() == await scene.hashes()


async def test_covering_now_signs_once_what_is_durable(scene: Scene) -> None:
    await scene.record("a", "b")
    await cover_now(scene.redis, scene.instance, scene.state_dir, scene.signing)
    assert (await scene.told()).size == 2
    await cover_now(scene.redis, scene.instance, scene.state_dir, scene.signing)
    assert len(scene.notary().anchor.checkpoints()) == 1


async def test_the_notary_needs_no_lease(scene: Scene) -> None:
    await scene.record("a")
    await scene.redis.delete(lease_key(0))
    assert await scene.signed() is not None
