"""The command about prompts, and the five commands of docs/prompts.md, with the installed program."""

import asyncio
import re
import shlex
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from llmctx.assets import asset
from llmctx.llm.standin import Standin
from tests.conftest import ROOT, free_port
from tests.integration.program import Program, until

NOWHERE = f"redis://127.0.0.1:{free_port()}/0"
CORPUS = ("--from", "audit/corpus/demo.jsonl")


@pytest.fixture
def program(standin: Standin, tmp_path: Path) -> Program:
    """The program, in a folder with the corpus, without a server."""
    (tmp_path / "audit").symlink_to(ROOT / "audit")
    return Program(NOWHERE, tmp_path, standin.base_url)


async def test_versions_are_listed_without_a_server(program: Program) -> None:
    ended = await program("prompts")
    assert ended.code == 0
    assert re.findall(r"^position/v\d", ended.out, re.MULTILINE) == [f"position/v{version}" for version in (1, 2, 3, 4)]
    assert "Their use is unknown" in ended.out


async def test_versions_tell_where_they_were_used(program: Program) -> None:
    listed = (await program("prompts", "--json", *CORPUS)).lines
    assert [(one["prompt"], one["used"]) for one in listed] == [
        ("perp/v1", 0), ("position/v1", 18), ("position/v2", 0), ("position/v3", 0), ("position/v4", 0),
        ("small/v1", 0),
    ]  # fmt: skip


async def test_a_check_fails_for_a_template_that_does_not_render(program: Program) -> None:
    folder = program.folder / "prompts" / "probe"
    folder.mkdir(parents=True)
    source = "---\nname: probe\nversion: 1\ndescription: x\noutput: decision\n---\nsystem:\na\nuser:\n{{ mood }}\n"
    (folder / "v1.md.j2").write_text(source, encoding="utf-8")
    ended = await program("prompts", "check", "--prompts", "prompts", *CORPUS)
    assert ended.code == 1
    assert re.search(r"unknown +mood", ended.out)
    assert "and 15 more" in ended.out


async def test_a_diff_without_records_named_shows_one_and_says_which_side_is_which(program: Program) -> None:
    ended = await program("prompts", "diff", "v1", "v2", *CORPUS)
    assert ended.code == 0
    assert re.match(r"record 1, HARP: - position/v1, \d+ characters; \+ position/v2, \d+ characters\n", ended.out)
    assert len(re.findall(r"^record \d+", ended.out, re.MULTILINE)) == 1
    assert "The first record; --on SELECTION names others." in ended.out
    two = await program("prompts", "diff", "v1", "v2", "--on", "limit=2", *CORPUS)
    assert len(re.findall(r"^record \d+", two.out, re.MULTILINE)) == 2


async def test_a_diff_of_the_same_says_so(program: Program) -> None:
    ended = await program("prompts", "diff", "v1", "v1", *CORPUS)
    assert "the same, byte for byte" in ended.out


@pytest.mark.parametrize("words", [("check",), ("diff", "v1", "v2")])
async def test_nothing_is_rendered_of_no_record(program: Program, words: tuple[str, ...]) -> None:
    ended = await program("prompts", *words, "--on", "symbol=ZZZ", *CORPUS)
    assert (ended.code, ended.out) == (2, "")
    assert "matches no record of the corpus audit/corpus/demo.jsonl" in ended.err
    assert "`llmctx decisions --from audit/corpus/demo.jsonl` lists the records" in ended.err


async def test_what_prompts_does_not_do_is_misuse(program: Program) -> None:
    assert (await program("prompts", "burn")).code == 2


@asynccontextmanager
async def background(program: Program, words: list[str], port: int) -> AsyncIterator[None]:
    """A command that ends in &, ready when its port is open."""
    process = await program.start(*words)
    try:
        async with asyncio.timeout(120):
            await until(lambda: reachable(port))
        yield
    finally:
        process.terminate()
        await process.communicate()


async def reachable(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


async def pytest_in_the_checkout(words: list[str]) -> str:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *words, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    told = (await process.communicate())[0].decode()
    assert process.returncode == 0, told
    return told


@pytest.mark.more
async def test_the_five_commands_of_the_document_run_as_printed(program: Program) -> None:
    text = (ROOT / "docs" / "prompts.md").read_text(encoding="utf-8")
    block = re.search(r"## In five commands(?:.|\n)*?```sh\n((?:.|\n)*?)```", text)
    assert block is not None
    port = free_port()
    lines = [shlex.split(line) for line in block[1].replace("8700", str(port)).splitlines() if line]
    (start, export), commands = lines[:2], lines[2:]
    assert (start[0], start[-1], export[0]) == ("llmctx", "&", "export")
    assert len(commands) == 5
    program.environment = {name: value for name, value in program.environment.items() if "_LLM__" not in name}
    program.environment |= dict(pair.split("=", 1) for pair in export[1:])
    said = []
    async with background(program, start[1:-1], port):
        for command, *words in commands:
            if command == "pytest":
                said.append(await pytest_in_the_checkout(words))
                continue
            ended = await program(*words)
            assert ended.code == 0, ended.err
            said.append(ended.out)
    assert "## Sections without facts" in said[0]
    assert "852 tokens: too short" in said[1]
    assert "a provider can cache 52% of each request" in said[1]
    assert "position/v2: 18 of 18 as recorded" in said[2]
    assert "18 answered now" in said[3]
    assert re.search(r"answers supported +18 of 18 .* 18 of 18", said[4])


async def test_an_edited_published_version_is_told_though_nothing_flips(program: Program) -> None:
    shutil.copytree(asset("prompts"), program.folder / "prompts")
    asked = ("replay", "limit=2", "--prompt", "position/v1", "--prompts", "prompts", "--out", "v1.jsonl", *CORPUS)
    assert (await program(*asked)).code == 0
    path = program.folder / "prompts" / "position" / "v1.md.j2"
    path.write_text(path.read_text(encoding="utf-8").replace("risk-aware", "careful"), encoding="utf-8")
    ended = await program(*asked)
    assert (ended.code, "differs in the source of its prompt, which was edited since" in ended.err) == (2, True)
    assert (await program(*asked, "--fresh")).code == 0
    ended = await program("compare", "v1.jsonl")
    assert "2 by template: position/v1 was edited in place: " in ended.out
