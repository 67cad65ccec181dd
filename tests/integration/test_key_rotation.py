"""The instance key is replaced: what it signed stays valid, and what it signs afterwards does not count."""

import asyncio
from pathlib import Path

import pytest
from redis.asyncio import Redis

from llmctx.errors import AnchorBusyError, LeaseError
from llmctx.llm.standin import Standin
from llmctx.trail.log.instance import bind_instance, read_instance
from llmctx.trail.log.lease import lease_key
from llmctx.trail.proof.anchor import Anchor, anchor_directory
from llmctx.trail.proof.checkpoint import read_note
from llmctx.trail.proof.key import load_key, load_or_make_key
from llmctx.trail.proof.notary_service import cover_now
from llmctx.trail.proof.rotation import handover
from llmctx.worker.home import TrailHome
from llmctx.worker.owner import Owner
from llmctx.worker.rotate import rotate_instance_key
from tests.integration.conftest import hold, leaves
from tests.integration.program import Program
from tests.unit.audit.exports import by_audit, by_llmctx


class Scene:
    """A program on a trail with one decision, signed by the first key."""

    def __init__(self, redis: Redis, program: Program, instance: str) -> None:
        self.redis, self.program, self.instance = redis, program, instance
        self.state_dir = program.folder / "var"
        self.anchor = Anchor(anchor_directory(self.state_dir, instance, 0))

    async def run(self, *arguments: str) -> str:
        ended = await self.program(*arguments)
        assert ended.code == 0, ended.err or ended.out
        return ended.out.strip()

    async def home(self) -> TrailHome:
        found, _ = await bind_instance(self.redis, self.state_dir)
        return TrailHome(self.redis, self.program.environment["LLMCTX_REDIS_URL"], found, self.state_dir)


@pytest.fixture
async def scene(redis: Redis, redis_url: str, tmp_path: Path, standin: Standin, short_pauses: None) -> Scene:
    del short_pauses
    program = Program(redis_url, tmp_path, standin.base_url)
    await hold(redis, "AAPL")
    assert (await program("decide", "AAPL")).code == 0
    instance = await read_instance(redis)
    assert instance is not None
    await cover_now(redis, instance, tmp_path / "var", load_or_make_key(tmp_path / "var", instance.id))
    return Scene(redis, program, instance.id)


@pytest.mark.more
async def test_either_key_verifies_the_trail_its_export_and_receipts_from_before_and_after(scene: Scene) -> None:
    old = await scene.run("key")
    (scene.program.folder / "before.json").write_text(await scene.run("receipt", "1"))
    new = await scene.run("key", "--rotate")
    assert new == await scene.run("key") != old
    await scene.run("decide", "AAPL")
    (scene.program.folder / "after.json").write_text(await scene.run("receipt", "4"))
    await scene.run("export", "export")
    both = ("--receipt-held", "before.json", "--receipt-held", "after.json")
    for key in (old, new):
        await scene.run("verify", "--strict", "--key", key, *both)
        await scene.run("verify", "--strict", "export", "--key", key, *both)
        receipts = tuple(scene.program.folder / name for name in ("before.json", "after.json"))
        assert by_audit(scene.program.folder / "export", key, receipts, f"llmctx/{scene.instance}").rule is None
    await scene.run("verify", "--receipt", "before.json", "--key", old)
    await scene.run("verify", "--receipt", "after.json", "--key", new)
    (stated,) = [leaf["rotation"] for leaf in await leaves(scene.redis) if "rotation" in leaf]
    assert isinstance(stated, dict)
    assert (stated["old"], stated["new"]) == (old, new)
    (found,) = [found for note in scene.anchor.checkpoints() if (found := handover(note)) is not None]
    assert (found.old.text, found.new.text) == (old, new)


async def joined(scene: Scene, endpoint: str) -> Program:
    """A program whose state directory has joined, and has written a record."""
    (scene.program.folder / "b").mkdir()
    there = Program(scene.program.environment["LLMCTX_REDIS_URL"], scene.program.folder / "b", endpoint)
    granted = await scene.run("join", "--approve", (await there("join")).out.strip())
    (there.folder / "grant").write_text(granted)
    assert (await there("join", "--grant", "grant")).code == 0
    assert (await there("decide", "AAPL")).code == 0
    return there


@pytest.mark.more
async def test_a_directory_that_joins_after_a_rotation_verifies_what_was_archived_before(
    scene: Scene, standin: Standin
) -> None:
    await scene.run("archive", "--older-than", "0d", "--keep", "1", "--to", "archive")
    new = await scene.run("key", "--rotate")
    there = await joined(scene, standin.base_url)
    alone = await there("verify", "--strict", "--key", new)
    assert alone.code == 0, alone.out
    there.environment["LLMCTX_ARCHIVE"] = str(scene.program.folder / "archive")
    for key in ((), ("--key", new)):
        ended = await there("verify", "--strict", *key)
        assert ended.code == 0, ended.out


async def test_a_joined_directory_learns_the_new_key_and_goes_on(scene: Scene, standin: Standin) -> None:
    there = await joined(scene, standin.base_url)
    new = await scene.run("key", "--rotate")
    assert (await there("decide", "AAPL")).code == 0
    assert (there.folder / "var/keys" / f"{scene.instance}.pub").read_text().strip() == new
    assert (await there("verify", "--strict")).code == 0
    await scene.run("verify", "--strict")
    incidents = [leaf for leaf in await leaves(scene.redis) if leaf["kind"] == "incident"]
    assert incidents == []


@pytest.mark.parametrize("point", ["spooled", "signed", "told"])
async def test_a_rotation_that_is_cut_short_keeps_others_from_signing_and_goes_on(scene: Scene, point: str) -> None:
    old = await scene.run("key")
    arm = f"from llmctx import killpoint; killpoint.arm({point!r})"
    cut = await scene.program.ended(await scene.program.start("key", "--rotate", before=arm))
    assert cut.code != 0
    await scene.redis.delete(lease_key(0))
    refused = await scene.program("key")
    assert (refused.code, "--rotate" in refused.err) == (3, True)
    new = await scene.run("key", "--rotate")
    await scene.run("decide", "AAPL")
    await scene.run("export", "export")
    for key in (old, new):
        await scene.run("verify", "--strict", "export", "--key", key)
    assert len([leaf for leaf in await leaves(scene.redis) if "rotation" in leaf]) == 1


async def test_while_a_worker_or_a_notary_runs_the_key_stays(scene: Scene) -> None:
    home = await scene.home()
    with scene.anchor.lock(), pytest.raises(AnchorBusyError):
        await rotate_instance_key(home)
    async with Owner(home):
        with pytest.raises(LeaseError, match="Stop the workers"):
            await rotate_instance_key(home)
    assert load_key(scene.state_dir, scene.instance).key.text == await scene.run("key"), "what was refused left nothing"


async def test_what_the_old_key_signs_afterwards_is_found(scene: Scene) -> None:
    stolen = load_key(scene.state_dir, scene.instance)
    new = await scene.run("key", "--rotate")
    await scene.run("decide", "AAPL")
    await scene.run("export", "export")
    folder = scene.program.folder / "export"
    notes = scene.anchor.checkpoints()
    forged = [*notes[:-1], stolen.sign(read_note(notes[-1]))]
    without = notes[: [handover(note) is not None for note in notes].index(True)]
    assert without
    for key, altered in ((new, forged), (stolen.key.text, forged), (new, without)):
        (folder / "0" / "checkpoints").write_bytes("\n".join(altered).encode())
        for verify in (by_audit, by_llmctx):
            found = await asyncio.to_thread(verify, folder, key, (), f"llmctx/{scene.instance}")
            assert found.rule in ("signature", "key")
