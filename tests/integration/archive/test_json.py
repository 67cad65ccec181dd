"""With --json, a monitor can read what every command about archives, backups and copies prints, and its exit code."""

import json
from pathlib import Path

import pytest
from redis.asyncio import Redis

from llmctx.trail.log.log import Log
from tests.conftest import free_port
from tests.integration.archive.conftest import PLACE
from tests.integration.program import Ended, Program
from tests.integration.test_query import BARS

READERS = {
    "decisions": "decisions", "show": "show 1", "replay": "replay", "outcome": "outcome --bars bars.csv",
    "receipt": "receipt 1", "verify": "verify", "export": "export made", "query": "query actions",
}  # fmt: skip
UNPROVEN = {"receipt", "verify", "export", "query"}
"""What a corpus is not enough for: it has no checkpoints."""
OPERATIONS = (
    "archive --older-than 0d --keep 1 --to kept", "archive --older-than 0d --keep 1 --to kept --history",
    "hold --by me --why case", "hold", "erase --dry-run", "erase", "cleanup --dry-run", "cleanup", "people",
    "backup --to backups --keep-daily 1", "restore backups --over", "maintenance", "verify",
)  # fmt: skip


def readable(ended: Ended) -> bool:
    """Whether both streams hold JSON, an object a line, and nothing else."""
    lines = [*ended.out.split("\n"), *ended.err.split("\n")]
    return all(isinstance(json.loads(line), dict) for line in lines if line)


@pytest.mark.more
@pytest.mark.parametrize("where", [None, "kept", "exported", "corpus.jsonl", PLACE])
async def test_every_reader_prints_json_alone(
    valkey: Redis,  # noqa: ARG001
    proven: Program,
    object_store: dict[str, str],
    where: str | None,
) -> None:
    proven.environment |= object_store
    (proven.folder / "bars.csv").write_text(BARS, encoding="utf-8")
    for made in ("export exported", "corpus add all corpus.jsonl"):
        assert (await proven(*made.split())).code == 0
    if where in ("kept", PLACE):
        assert (await proven("archive", "--older-than", "0d", "--keep", "0", "--to", where)).code == 0
    source = "" if where is None else f" --from {where}"
    asked = {name: words for name, words in READERS.items() if where is not None or name != "query"}
    ended = dict(zip(asked, await proven.all(*(f"{words}{source} --json" for words in asked.values())), strict=True))
    refused = UNPROVEN if where == "corpus.jsonl" else set()
    for name, each in ended.items():
        assert readable(each), (name, each)
        assert (each.code, bool(each.out)) == ((2, False) if name in refused else (0, True)), (name, each)


@pytest.mark.more
async def test_every_operation_prints_json_alone(valkey: Redis, proven: Program) -> None:  # noqa: ARG001
    proven.environment |= {"LLMCTX_ARCHIVE": "kept", "LLMCTX_RETENTION__SNAPSHOT_D": "1"}
    for words in OPERATIONS:
        ended = await proven(*words.split(), "--json")
        assert (ended.code, readable(ended)) == (0, True), (words, ended)


@pytest.mark.more
async def test_an_object_store_that_does_not_answer_is_named_with_exit_code_3(
    valkey: Redis, proven: Program, object_store: dict[str, str]
) -> None:
    proven.environment |= object_store | {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{free_port()}"}
    asked = (f"show 1 --from {PLACE}", f"archive --older-than 0d --keep 0 --to {PLACE}", f"backup --to {PLACE}")
    for ended in await proven.all(*(f"{words} --json" for words in asked)):
        assert (ended.code, readable(ended), "s3://readings/prod" in ended.err) == (3, True, True), ended
    assert await Log(valkey).first() == 0


def broken(name: str, folder: Path) -> None:
    """Put something else in the place of a file."""
    (file,) = folder.glob(name)
    file.write_bytes(file.read_bytes()[:100])


@pytest.mark.more
@pytest.mark.parametrize("file", ["0/*.parquet", "0/*0.json", "0/*.notes"])
async def test_a_damaged_archive_is_one_error_that_names_the_file(valkey: Redis, proven: Program, file: str) -> None:  # noqa: ARG001
    assert (await proven("archive", "--older-than", "0d", "--keep", "0", "--to", "kept")).code == 0
    broken(file, proven.folder / "kept")
    name = next((proven.folder / "kept").glob(file)).name
    verified, *read = await proven.all(
        *(f"{words} --from kept --json" for words in ("verify", "decisions", "show 1", "replay", "export made"))
    )
    needs_it = read if "notes" not in file else read[-1:]
    for each in (verified, *needs_it):
        assert (each.code, readable(each), name in each.out + each.err) == (1, True, True), each
