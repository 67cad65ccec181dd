"""An auditor who has an export alone reads it with every command, without any server, and finds what Redis had."""

import re
import shlex

import pytest

from tests.conftest import ROOT, free_port
from tests.integration.conftest import NOW
from tests.integration.program import Program
from tests.integration.test_prove import SIZE, audit, proven, vkey  # noqa: F401  a fixture

BARS = "timestamp,symbol,open,high,low,close,volume\n" + "".join(
    f"2026-03-02T15:{minute:02}:00Z,AAPL,100,101,99,100.5,1000\n" for minute in range(30)
)


@pytest.fixture
async def auditor(proven: Program, tmp_path_factory: pytest.TempPathFactory) -> Program:  # noqa: F811
    """A program without a server, in a folder that holds an export, bars and the notary's key."""
    folder = tmp_path_factory.mktemp("auditor")
    (folder / "vkey").write_text(await vkey(proven))
    assert (await proven("export", str(folder / "export"))).code == 0
    (folder / "bars.csv").write_text(BARS)
    return Program(f"redis://127.0.0.1:{free_port()}/0", folder)


def walk() -> list[list[str]]:
    text = (ROOT / "audit" / "README.md").read_text(encoding="utf-8")
    section = text.partition("## With the export alone")[2].partition("\n## ")[0]
    block = re.search(r"```sh\n(.*?)```", section, re.DOTALL)
    assert block is not None
    return [shlex.split(line, comments=True)[1:] for line in block[1].splitlines()]


async def test_the_walk_through_an_export_needs_no_server(auditor: Program) -> None:
    commands = walk()
    assert {command for command, *_ in commands} >= {"verify", "decisions", "show", "replay", "outcome", "query"}
    key = (auditor.folder / "vkey").read_text()
    for command in commands:
        ended = await auditor(*[key if word == "VKEY" else word for word in command])
        assert (ended.code, ended.err) == (0, ""), command
        assert ended.out or command[0] == "query", command


async def test_an_export_says_what_redis_said(proven: Program, auditor: Program) -> None:  # noqa: F811
    for command in (
        "decisions --json", "decisions --json --symbol AAPL --limit 1", f"decisions --json --at {NOW}",
        f"decisions --json --until {NOW}", "show 4 --json", "receipt 4",
    ):  # fmt: skip
        in_redis, exported = await proven(*command.split()), await auditor(*command.split(), "--from", "export")
        assert (exported.code, exported.out) == (in_redis.code, in_redis.out) == (0, exported.out), command
    assert len((await auditor("decisions", "--json", "--from", "export")).lines) == SIZE
    in_force = (await auditor("decisions", "--json", "--at", NOW, "--from", "export")).lines
    assert sorted(line["symbol"] for line in in_force) == ["AAPL", "MSFT"]
    made = (await auditor("receipt", "4", "--from", "export")).out
    (auditor.folder / "receipt.json").write_text(made)
    (auditor.folder / "export" / "0" / "leaf-hashes").unlink()  # older exports have none
    assert (await auditor("receipt", "4", "--from", "export")).out == made
    key = (auditor.folder / "vkey").read_text()
    assert (await audit(auditor, "--receipt", "receipt.json", "--key", key)).code == 0


async def test_what_a_source_cannot_do_is_said(auditor: Program) -> None:
    await auditor("corpus", "add", "all", "c.jsonl", "--from", "export")
    for command, message in {
        "verify --from c.jsonl": "checkpoints",
        "receipt 4 --from c.jsonl": "checkpoints",
        "verify export --from export": "give one",
        "decisions --follow --from export": "does not grow",
        "decisions --at 14:31 --since 2h --from export": "--at",
        "decisions --action sell --from export": "hold, exit",
        "decisions --from nowhere": "nowhere",
        "decisions --from .": "neither an export nor an archive",
        "show 99 --from export": "99",
        "show 99 --from c.jsonl": "99",
    }.items():
        ended = await auditor(*command.split())
        assert (ended.code, ended.out, message in ended.err) == (2, "", True), (command, ended)


async def test_a_record_that_was_altered_in_an_export_is_named_and_the_others_are_read(auditor: Program) -> None:
    leaves = auditor.folder / "export" / "0" / "leaves.jsonl"
    lines = leaves.read_bytes().split(b"\n")
    lines[4] = b'{"v":1}'
    leaves.write_bytes(b"\n".join(lines))
    listed = (await auditor("decisions", "--json", "--from", "export")).lines
    assert [line["index"] for line in listed if line["kind"] == "unreadable"] == [4]
    assert len(listed) == SIZE
    assert "cannot be read" in (await auditor("show", "4", "--from", "export")).out
    rebuilt = await auditor("replay", "--from", "export")
    assert (rebuilt.code, "Record 4 of partition 0 cannot be read" in rebuilt.err) == (0, True)
    assert (await auditor("verify", "--from", "export")).code == 1
