"""What the doctor's tests share: the shared servers, changed and put right again, and an examination of them."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import cast

import pytest
from redis.asyncio import Redis

from llmctx import clock
from llmctx.assets import asset
from llmctx.context.tick import Tick
from llmctx.ops.backup.files import StoredFile
from llmctx.ops.backup.manifest import RDB, Backup, Manifest, folder_name
from llmctx.ops.doctor.examine import examine
from llmctx.ops.doctor.finding import Finding
from llmctx.ops.doctor.subject import Places
from llmctx.record import RecordMetadata, compose_unread
from llmctx.trail.log.instance import Instance, bind_instance
from llmctx.trail.log.log import Log
from tests.integration.conftest import SETTLEMENT, held_lease

Configure = Callable[[str, str], Awaitable[None]]


@pytest.fixture
def places(tmp_path: Path) -> Places:
    """The folders of this host, none of which is there yet."""
    return Places(tmp_path / "var", asset("redis.conf"), tmp_path / "backups", asset("prompts"))


@pytest.fixture
async def configure(redis: Redis) -> AsyncIterator[Configure]:
    """Changes a setting of the server; at the end everything is put back."""
    before = cast("dict[str, str]", await redis.config_get("*"))
    changed: list[str] = []

    async def change(name: str, value: str) -> None:
        changed.append(name)
        await redis.config_set(name, value)

    yield change
    for name in changed:
        await redis.config_set(name, before[name])
    await redis.config_resetstat()
    await redis.slowlog_reset()


async def examined(url: str, places: Places) -> dict[str, Finding]:
    """Every finding by its name."""
    found = [finding async for finding in examine(url, places)]
    assert len({finding.name for finding in found}) == len(found)
    for finding in found:
        assert bool(finding.consequence) == bool(finding.do) == (finding.level != "green"), finding
    return {finding.name: finding for finding in found}


async def record(redis: Redis, state_dir: Path, *, kind: str = "skipped", count: int = 1, age_ms: int = 0) -> Instance:
    """A trail to which so many records of one kind were appended; the first was made `age_ms` ago."""
    instance, _ = await bind_instance(redis, state_dir)
    lease, log = await held_lease(redis), Log(redis)
    now_ms = clock.now_ms()
    for number in range(count):
        metadata = RecordMetadata(now_ms - age_ms * (count - number) // count, "test")
        made = compose_unread(kind, Tick(id=f"{kind}-{number}", symbol="AAPL"), "it is broken", metadata)
        await log.append(made, lease.owner, SETTLEMENT)
    await lease.give_up()
    return instance


def back_up(folder: Path, instance: Instance, age_ms: int) -> Path:
    """A backup whose manifest says that it was made `age_ms` ago."""
    made_ms = clock.now_ms() - age_ms
    place = folder / folder_name(made_ms)
    place.mkdir(parents=True)
    file = StoredFile(name=RDB, size_bytes=0, sha256="0" * 64, stored_bytes=0, stored_sha256="0" * 64)
    manifest = Manifest(instance=instance.id, partitions=1, made_ms=made_ms, server="x", version="x", files=(file,))
    Backup(place, manifest).write()
    return place
