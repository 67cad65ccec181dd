"""The programs in examples/ run as they are, and print what they promise."""

import re
import subprocess
import sys

from .conftest import ROOT


def run(name: str, *arguments: str) -> str:
    """What an example prints; a warning or an error of its own fails the test."""
    command = [sys.executable, "-W", "error", str(ROOT / "examples" / name), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_decide_once_prints_a_decision_and_a_verified_trail() -> None:
    lines = run("decide_once.py").splitlines()
    assert re.fullmatch(r"record 1: decision, leaf hash [0-9a-f]{64}", lines[0])
    assert lines[1].startswith("the model says adjust_stops: ")
    assert lines[2].startswith("the guards let through: adjust_stops ")
    assert lines[3:] == ["verify: passed, 3 records"]


def test_replay_prompt_compares_every_decision_of_the_corpus_under_another_prompt() -> None:
    first, *matrix = run("replay_prompt.py").splitlines()
    assert first.startswith("18 decisions under position/v1: 18 of 18")
    assert sum(int(line.rpartition(" ")[2]) for line in matrix) == 18


def test_act_on_decisions_asks_and_receives_what_is_published() -> None:
    settled, published = run("act_on_decisions.py").splitlines()
    assert settled.startswith("record 1: decision, ")
    assert published.startswith("AAPL: adjust_stops, stop 1")


def test_each_example_has_a_test_here() -> None:
    here = (ROOT / "tests" / "test_examples.py").read_text(encoding="utf-8")
    names = [path.name for path in (ROOT / "examples").glob("*.py")]
    assert len(names) > 1
    assert not [name for name in names if f'run("{name}"' not in here]
