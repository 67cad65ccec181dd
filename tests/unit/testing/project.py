"""A user's project that tests prompts: a module with one test, and the corpus of the demo."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp  # noqa: F401  what a run imports late is loaded once here, not anew by each run in this process
import openai.resources.chat  # noqa: F401  the same
import pytest

import llmctx.testing.bench  # noqa: F401  the same
from llmctx.llm.standin import Standin
from llmctx.replay.corpus import read_corpus, write_corpus
from tests.conftest import ROOT

CORPUS = ROOT / "audit" / "corpus" / "demo.jsonl"
ALL = read_corpus(CORPUS)
DECISIONS = [entry for entry in ALL.entries if "prompt" in entry.record]
MODULE = """
import pytest

@pytest.mark.corpus({mark})
def test_decision({asks}):
    {body}
"""
INI = """[pytest]
addopts = --strict-markers
asyncio_default_fixture_loop_scope = function
filterwarnings = error
"""


def write_module(project: pytest.Pytester, body: str, *, asks: str = "decide", mark: str = '"demo.jsonl"') -> None:
    """Write the project's only module."""
    project.makepyfile(test_prompts=MODULE.format(body=body, asks=asks, mark=mark))


def run(
    project: pytest.Pytester, body: str, *options: str, asks: str = "decide", mark: str = '"demo.jsonl"'
) -> pytest.RunResult:
    """Run the test as a user does."""
    write_module(project, body, asks=asks, mark=mark)
    return run_pytest(project, *options)


APART = {
    "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    "PYTEST_PLUGINS": "xdist.plugin,pytest_asyncio.plugin,llmctx.testing.plugin",
}
"""The environment of pytest in processes of its own: without what else is installed, which takes seconds to import."""


def run_pytest(project: pytest.Pytester, *options: str) -> pytest.RunResult:
    """Run pytest on a project: in this process if possible, in others for workers."""
    if not any(option.startswith(("-n", "--tx")) for option in options):
        return project.runpytest_inprocess(*options)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in APART.items():
            patch.setenv(name, value)
        return project.runpytest_subprocess(*options)


@contextmanager
def endpoint(**faults: float) -> Iterator[Standin]:
    """The stand-in with these faults, in a thread of its own: pytest runs in this one."""
    loop, server = asyncio.new_event_loop(), Standin(faults=faults)
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    asyncio.run_coroutine_threadsafe(server.__aenter__(), loop).result()
    try:
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(server.__aexit__(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def run_live(
    project: pytest.Pytester,
    standin: Standin,
    body: str,
    *options: str,
    asks: str = "decide",
    mark: str = '"demo.jsonl"',
) -> pytest.RunResult:
    """Run the test against the stand-in."""
    live = ("--llmctx-live", standin.base_url, "--llmctx-model", "llmctx-standin")
    return run(project, body, *live, *options, asks=asks, mark=mark)


def write_prompt(project: pytest.Pytester, ref: str, *, words: str = "careful") -> Path:
    """Write a prompt of the user's own to the folder `prompts`: position/v1 with another word."""
    name, _, version = ref.partition("/v")
    source = (ROOT / "prompts" / "position" / "v1.md.j2").read_text(encoding="utf-8")
    file = project.path / "prompts" / name / f"v{version}.md.j2"
    file.parent.mkdir(parents=True, exist_ok=True)
    source = source.replace("name: position", f"name: {name}").replace("version: 1", f"version: {version}")
    file.write_text(source.replace("risk-aware", words), encoding="utf-8")
    return file


def write_part(path: Path, indices: list[int]) -> None:
    """Write a corpus with these records of the demo."""
    write_corpus(path, [entry for entry in ALL.entries if entry.index in indices], ALL.blobs if indices else {})
