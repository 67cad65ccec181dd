"""pytest-xdist: several processes add up their counts and lose no answers."""

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from llmctx.llm.standin import Standin
from llmctx.prompt.render import Prompt
from llmctx.replay.corpus import BlobCache, Recorded
from llmctx.replay.plan import Plan, build_request
from llmctx.testing.completers import AnswersFile

from .project import ALL, APART, DECISIONS, run, run_live, write_module


@pytest.mark.more
def test_workers_add_up_their_counts(project: pytest.Pytester) -> None:
    body = """assert not decide().flipped
    decide("position/v1")
    decide(completer=scripted("no JSON"))"""
    result = run(project, body, "-n2", asks="decide, scripted")
    result.assert_outcomes(passed=len(DECISIONS))
    alone = run(project, body, asks="decide, scripted")
    start = "*decisions compared with the recorded ones*"
    result.stdout.fnmatch_lines([start, f"position/v1: {len(DECISIONS)} of {len(DECISIONS)} as recorded*"])
    assert counted(result) == counted(alone)


def counted(result: pytest.RunResult) -> list[str]:
    """Return the lines of the summary."""
    begin = next(number for number, line in enumerate(result.outlines) if "compared with the recorded ones" in line)
    return [line for line in result.outlines[begin:] if line and not re.search(r"passed in|=====", line)]


@pytest.mark.more
def test_one_worker_may_ask_an_endpoint_and_reports_its_tokens(project: pytest.Pytester, standin: Standin) -> None:
    result = run_live(project, standin, "decide()", "-n1", "--llmctx-record")
    result.assert_outcomes(passed=len(DECISIONS))
    result.stdout.fnmatch_lines(["live calls used * tokens"])
    assert len((project.path / "demo.answers.jsonl").read_bytes().splitlines()) == len(DECISIONS)


@pytest.mark.more
def test_concurrent_runs_that_record_lose_no_answer(project: pytest.Pytester, standin: Standin) -> None:
    write_module(project, "decide('position/v1'); decide('position/v2')")
    live = ["--llmctx-live", standin.base_url, "--llmctx-model", "llmctx-standin", "--llmctx-record"]
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *live, "-k"]
    halves = ["HARP or BOLT or DUNE or ELMS", "not (HARP or BOLT or DUNE or ELMS)"]
    environment = os.environ | APART
    runs = [
        subprocess.Popen([*words, half], cwd=project.path, stdout=subprocess.DEVNULL, env=environment)
        for half in halves
    ]
    assert [run.wait() for run in runs] == [0, 0]
    assert len(AnswersFile(project.path / "demo.jsonl").bodies()) == 2 * len(DECISIONS)


def question(entry: Recorded) -> Prompt:
    asked = build_request(entry, Plan(model="m"), BlobCache(ALL.blobs)).prompt
    assert asked is not None
    return asked


def test_concurrent_writers_lose_no_answer_and_readers_see_complete_lines(tmp_path: Path) -> None:
    corpus = tmp_path / "c.jsonl"
    corpus.touch()
    prompts = [question(entry) for entry in DECISIONS]

    def keep(prompt: Prompt) -> int:
        answers = AnswersFile(corpus)  # each thread takes the lock itself
        answers.keep(prompt, b'{"choices":[]}')
        return len(answers.bodies())

    with ThreadPoolExecutor(8) as threads:
        seen = list(threads.map(keep, prompts * 3))
    assert len(AnswersFile(corpus).bodies()) == len(prompts)
    assert max(seen) == len(prompts)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.answers.jsonl", "c.jsonl"]


def test_a_second_answer_replaces_the_first(tmp_path: Path) -> None:
    corpus = tmp_path / "c.jsonl"
    corpus.touch()
    for body in (b"1", b"2"):
        AnswersFile(corpus).keep(question(DECISIONS[0]), body)
    assert list(AnswersFile(corpus).bodies().values()) == [b"2"]
