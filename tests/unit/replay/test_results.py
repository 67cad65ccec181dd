import shutil
from pathlib import Path

import pytest

from llmctx.errors import ReplayError
from llmctx.replay.plan import Plan
from llmctx.replay.results import ResultsFile, read_results
from llmctx.replay.run import Replay
from tests.conftest import ROOT

from .asking import Model
from .cases import blobs, case

FULL = Path("/dev/full")
QUESTION = {"mode": "again", "selection": "all"}


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    with ResultsFile(tmp_path / "r.jsonl", QUESTION) as file:
        await Replay(Plan(repeat=2), blobs(), Model(), file).run([case(0), case(1)])
    return tmp_path / "r.jsonl"


def test_results_name_their_question(path: Path) -> None:
    assert read_results(path).question == QUESTION


def test_each_text_is_written_once(path: Path) -> None:
    raw = path.read_text(encoding="utf-8")
    assert raw.count("You are the risk-aware decision maker") == 1
    assert len(read_results(path).results) == 4


def test_another_question_needs_another_file(path: Path) -> None:
    with (
        pytest.raises(ReplayError, match="another question; it differs in selection"),
        ResultsFile(path, QUESTION | {"selection": "1-2"}),
    ):
        pass
    assert len(read_results(path).results) == 4


def test_a_file_is_started_over_only_on_request(path: Path) -> None:
    with ResultsFile(path, QUESTION | {"selection": "1-2"}, fresh=True) as file:
        assert file.before == []
    assert read_results(path).results == []


def test_only_one_process_writes_to_a_file(path: Path) -> None:
    with (
        ResultsFile(path, QUESTION),
        pytest.raises(ReplayError, match="wait until it ends"),
        ResultsFile(path, QUESTION),
    ):
        pass


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ReplayError, match="cannot be written"), ResultsFile(tmp_path / "file" / "r.jsonl", QUESTION):
        pass


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is empty"),
        (b'{"format":"llmctx-replay/1"}\n', "Line 1 .* KeyError"),
        (b'{"format":"other","asked":{}}\n', "is not a results file"),
        (b'{"format":"llmctx-replay/1","asked":{}}\n{"result":{}}\n', "Line 2 .* is not a valid result"),
        (b'{"format":"llmctx-corpus/1"}\n{"blob":""}\n', "is not a results file"),
        (b"\xff\n", "is not a results file"),
    ],
)
def test_other_files_are_refused_as_results(tmp_path: Path, content: bytes, why: str) -> None:
    (tmp_path / "r.jsonl").write_bytes(content)
    with pytest.raises(ReplayError, match=why):
        read_results(tmp_path / "r.jsonl")


def test_missing_results_are_named(tmp_path: Path) -> None:
    with pytest.raises(ReplayError, match="cannot be read"):
        read_results(tmp_path / "none.jsonl")


def test_a_changed_text_is_found(path: Path) -> None:
    raw = path.read_bytes()
    path.write_bytes(raw.replace(b"You are the risk-aware", b"You are the reckless"))
    with pytest.raises(ReplayError, match=r"Line 2 of .* its text should have the digest"):
        read_results(path)


@pytest.mark.parametrize("fresh", [False, True])
@pytest.mark.parametrize("content", [b'{"format":"llmctx-corpus/1"}\n', b"# Read me\n", b"{", b"[1]\n", b"\xff\xfe"])
def test_a_file_of_another_kind_is_never_overwritten(tmp_path: Path, content: bytes, *, fresh: bool) -> None:
    (tmp_path / "other").write_bytes(content)
    with (
        pytest.raises(ReplayError, match="is not a results file") as refused,
        ResultsFile(tmp_path / "other", QUESTION, fresh=fresh),
    ):
        pass
    assert "--fresh" not in refused.value.do
    assert (tmp_path / "other").read_bytes() == content


def test_an_input_is_never_overwritten(path: Path) -> None:
    with (
        pytest.raises(ReplayError, match="is also an input"),
        ResultsFile(path, QUESTION, fresh=True, inputs=(None, path)),
    ):
        pass
    assert len(read_results(path).results) == 4


def test_an_empty_file_becomes_results(tmp_path: Path) -> None:
    (tmp_path / "r.jsonl").touch()
    with ResultsFile(tmp_path / "r.jsonl", QUESTION):
        pass
    assert read_results(tmp_path / "r.jsonl").question == QUESTION


def test_a_full_disk_is_reported_with_the_name_of_the_file() -> None:
    with pytest.raises(ReplayError, match="/dev/full cannot be written: No space left"), ResultsFile(FULL, QUESTION):
        pass


def test_a_file_of_the_first_version_reads_and_resumes(tmp_path: Path) -> None:
    old = tmp_path / "r.jsonl"
    shutil.copy(ROOT / "tests" / "assets" / "replay" / "results-v1.jsonl", old)
    found = read_results(old)
    assert [(result.repeat, result.recorded.action, result.replayed.action) for result in found.results] == [
        (1, "hold", "hold"),
        (2, "hold", "exit"),
    ]
    assert found.results[0].recorded.messages == (("system", "You decide."), ("user", "AAPL at 152.5"))
    assert found.results[1].replayed.requested == "asked-model"
    with ResultsFile(old, found.question) as file:
        assert len(file.before) == 2
