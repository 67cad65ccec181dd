"""`llmctx maintenance`: each step when it is due, and what was done recorded in the trail."""

import json

import pytest
from redis.asyncio import Redis

from llmctx.trail.archive.reader import open_archive
from llmctx.trail.log.log import Log
from tests.conftest import ROOT, present
from tests.integration.archive.conftest import SIGNED_FIRST
from tests.integration.conftest import ByRules, serving
from tests.integration.program import Program

SCHEDULE = {
    "LLMCTX_ARCHIVE": "kept",
    "LLMCTX_MAINTENANCE__BACKUP_TO": "backups",
    "LLMCTX_MAINTENANCE__ARCHIVE_OLDER_THAN_D": "0",
    "LLMCTX_MAINTENANCE__ARCHIVE_KEEP": "2",
}


async def noted(redis: Redis) -> list[dict[str, dict[str, object]]]:
    """What each notice of maintenance says."""
    return [entry.record["maintenance"] async for entry in Log(redis).read() if "maintenance" in entry.record]


@pytest.mark.more
async def test_every_step_is_done_once_and_stands_in_the_trail(valkey: Redis, proven: Program) -> None:
    proven.environment |= SCHEDULE
    async with serving(valkey, proven.environment["LLMCTX_REDIS_URL"], proven.folder / "var", ByRules()):
        done = await proven("maintenance", "--json")
        assert done.code == 0, done.err
        assert [(each["step"], each["outcome"]) for each in done.lines] == [
            ("archive", "done"), ("erase", "off"), ("backup", "done"), ("cleanup", "done"),
        ]  # fmt: skip
        again = await proven("maintenance", "--json")
    assert {each["outcome"] for each in again.lines} == {"not due", "off"}
    (said,) = await noted(valkey)
    assert said["archive"]["records"] == SIGNED_FIRST == open_archive(str(proven.folder / "kept")).parts[0].size
    assert str(said["backup"]["backup"]).startswith("backups/")
    assert (await proven("restore", str(said["backup"]["backup"]), "--over", "--json")).code == 0
    assert (await proven("verify", "--json")).code == 0


async def test_a_step_that_fails_is_recorded_and_tried_again(valkey: Redis, proven: Program) -> None:
    (proven.folder / "backups").write_text("a file in the way", encoding="utf-8")
    proven.environment |= SCHEDULE | {"LLMCTX_MAINTENANCE__ARCHIVE_EVERY_H": "0"}
    assert (await proven("maintenance", "--json")).code != 0
    (proven.folder / "backups").unlink()
    again = await proven("maintenance", "--json")
    assert [each["outcome"] for each in again.lines] == ["off", "off", "done", "not due"]
    first, second = await noted(valkey)
    assert (first["backup"]["outcome"], second["backup"]["outcome"]) == ("failed", "done")


@pytest.mark.more
async def test_a_service_runs_what_is_due_beside_its_ticks(valkey: Redis, program: Program) -> None:
    (program.folder / "backups").write_text("a file in the way", encoding="utf-8")
    program.environment |= {"LLMCTX_MAINTENANCE__BACKUP_TO": "backups"}
    program.environment["PYTHONPATH"] = str(ROOT)  # the service starts a program of its own
    async with program.running(valkey, "--maintenance") as process:
        await present(process.stderr).readuntil(b"backup   failed")  # the service's log says what came of each step
        assert (await program.stop(process)).code == 0
    assert [*(await noted(valkey))[0]] == ["backup", "cleanup"]
    (state,) = (program.folder / "var" / "maintenance").glob("*.json")
    assert list(json.loads(state.read_text("utf-8"))) == ["cleanup"]
