"""An archive alone is read as the trail in Redis is, in both directions, and what was changed in it is named."""

from pathlib import Path

import pytest
from redis.asyncio import Redis

from llmctx.errors import TrailError
from llmctx.trail.archive import writer
from llmctx.trail.log.reader import LogReader
from llmctx.trail.source.copies import copy_source
from tests.conftest import free_port
from tests.integration.archive.conftest import write_segment
from tests.integration.program import Program
from tests.integration.test_prove import SIZE, vkey


@pytest.mark.parametrize("group_rows", [2, 5000])
async def test_ranges_and_symbols_are_those_of_the_log(
    valkey: Redis, proven: Program, group_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "_GROUP_ROWS", group_rows)
    monkeypatch.setattr(writer, "_BATCH_ROWS", min(group_rows, 500))
    await write_segment(valkey, proven, str(proven.folder / "kept"))
    (archived,), log = copy_source(str(proven.folder / "kept")).parts, LogReader(valkey)
    for start, stop in ((0, None), (2, 5), (5, 5), (6, 99), (SIZE, None)):
        expected = [entry.leaf async for entry in log.read(start, stop)]
        assert [entry.leaf async for entry in archived.read(start, stop)] == expected
        assert await archived.count(start, stop) == len(expected)
    for stop in (None, 4, 1, 0, 99):
        assert [each.leaf async for each in archived.read_back(stop)] == [
            each.leaf async for each in log.read_back(stop)
        ]
    for symbol in ("AAPL", "MSFT", "NONE", "GONE"):
        of_symbol = [entry.index async for entry in log.read_back_of(symbol)]
        assert [entry.index async for entry in archived.read_back_of(symbol)] == of_symbol
    for index in range(SIZE + 1):
        there, here = await log.entry(index), await archived.entry(index)
        assert (there and (there.leaf, there.pieces)) == (here and (here.leaf, here.pieces))
    assert await archived.size() == SIZE


async def test_every_command_reads_an_archive_alone(valkey: Redis, proven: Program, tmp_path: Path) -> None:
    await write_segment(valkey, proven, str(tmp_path / "elsewhere" / "kept"))
    alone = Program(f"redis://127.0.0.1:{free_port()}/0", tmp_path / "elsewhere")
    for command in ("decisions --json", "decisions --json --symbol AAPL --limit 1", "show 4 --json", "receipt 4"):
        in_redis, archived = await proven(*command.split()), await alone(*command.split(), "--from", "kept")
        assert (archived.code, archived.out) == (in_redis.code, in_redis.out) == (0, archived.out), command
    verified = await alone("verify", "--from", "kept", "--key", await vkey(proven), "--json")
    assert (verified.code, verified.document["records"], verified.document["warnings"]) == (0, SIZE, [])
    assert (await alone("replay", "--from", "kept", "--json")).document["prompts_same"] == 4


async def test_a_changed_file_is_named_and_nothing_is_read_of_it(valkey: Redis, proven: Program) -> None:
    manifest = await write_segment(valkey, proven, str(proven.folder / "kept"))
    file = proven.folder / "kept" / manifest.records.name
    file.write_bytes(file.read_bytes() + b"\0")
    with pytest.raises(TrailError, match="breaks archive-digest") as raised:
        await copy_source(str(proven.folder / "kept")).parts[0].entry(0)
    assert raised.value.exit_code == 1
    ended = await proven("decisions", "--from", "kept")
    assert (ended.code, ended.out) == (1, "")
