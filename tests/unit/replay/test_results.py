from pathlib import Path

import pytest

from llmctx.errors import ReplayError
from llmctx.replay.plan import Plan
from llmctx.replay.results import read_results
from llmctx.replay.results_file import ResultsFile
from llmctx.replay.run import Replay

from .asking import Model
from .cases import blobs, case

FULL = Path("/dev/full")
ASKED = {"mode": "again", "selection": "all"}


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    with ResultsFile(tmp_path / "r.jsonl", ASKED) as file:
        await Replay(Plan(repeat=2), blobs(), Model(), file).run([case(0), case(1)])
    return tmp_path / "r.jsonl"


def test_results_say_what_was_asked_for(path: Path) -> None:
    assert read_results(path).asked == ASKED


def test_a_text_stands_in_the_file_once(path: Path) -> None:
    raw = path.read_text(encoding="utf-8")
    assert raw.count("You are the risk-aware decision maker") == 1
    assert len(read_results(path).results) == 4


def test_another_question_needs_another_file(path: Path) -> None:
    with (
        pytest.raises(ReplayError, match="another question; it differs in selection"),
        ResultsFile(path, ASKED | {"selection": "1-2"}),
    ):
        pass
    assert len(read_results(path).results) == 4


def test_a_file_is_started_over_only_when_that_is_asked_for(path: Path) -> None:
    with ResultsFile(path, ASKED | {"selection": "1-2"}, fresh=True) as file:
        assert file.before == []
    assert read_results(path).results == []


def test_two_at_once_do_not_write_into_one_file(path: Path) -> None:
    with (
        ResultsFile(path, ASKED),
        pytest.raises(ReplayError, match="let the other replay end"),
        ResultsFile(path, ASKED),
    ):
        pass


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ReplayError, match="cannot be written"), ResultsFile(tmp_path / "file" / "r.jsonl", ASKED):
        pass


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is empty"),
        (b'{"format":"llmctx-replay/1"}\n', "Line 1 .* KeyError"),
        (b'{"format":"other","asked":{}}\n', "holds no results"),
        (b'{"format":"llmctx-replay/1","asked":{}}\n{"result":{}}\n', "Line 2 .* is no result"),
        (b'{"format":"llmctx-corpus/1"}\n{"blob":""}\n', "holds no results"),
        (b"\xff\n", "holds no results"),
    ],
)
def test_what_are_no_results_is_named(tmp_path: Path, content: bytes, why: str) -> None:
    (tmp_path / "r.jsonl").write_bytes(content)
    with pytest.raises(ReplayError, match=why):
        read_results(tmp_path / "r.jsonl")


def test_results_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(ReplayError, match="cannot be read"):
        read_results(tmp_path / "none.jsonl")


def test_a_text_that_was_changed_is_named(path: Path) -> None:
    raw = path.read_bytes()
    path.write_bytes(raw.replace(b"You are the risk-aware", b"You are the reckless"))
    with pytest.raises(ReplayError, match=r"Line 2 of .* its text should have the digest"):
        read_results(path)


@pytest.mark.parametrize("fresh", [False, True])
@pytest.mark.parametrize("content", [b'{"format":"llmctx-corpus/1"}\n', b"# Read me\n", b"{", b"[1]\n", b"\xff\xfe"])
def test_a_file_of_another_kind_is_never_written_over(tmp_path: Path, content: bytes, *, fresh: bool) -> None:
    (tmp_path / "other").write_bytes(content)
    with (
        pytest.raises(ReplayError, match="is not a results file") as refused,
        ResultsFile(tmp_path / "other", ASKED, fresh=fresh),
    ):
        pass
    assert "--fresh" not in refused.value.do
    assert (tmp_path / "other").read_bytes() == content


def test_what_is_being_read_is_never_written_over(path: Path) -> None:
    with (
        pytest.raises(ReplayError, match="is what is being read"),
        ResultsFile(path, ASKED, fresh=True, inputs=[None, path]),
    ):
        pass
    assert len(read_results(path).results) == 4


def test_an_empty_file_becomes_results(tmp_path: Path) -> None:
    (tmp_path / "r.jsonl").touch()
    with ResultsFile(tmp_path / "r.jsonl", ASKED):
        pass
    assert read_results(tmp_path / "r.jsonl").asked == ASKED


def test_a_full_disk_is_told_with_the_files_name() -> None:
    with pytest.raises(ReplayError, match="/dev/full cannot be written: No space left"), ResultsFile(FULL, ASKED):
        pass
