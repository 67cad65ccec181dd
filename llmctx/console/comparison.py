"""Results of replays: which there are, two of them side by side, and what others said of one decision."""

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from llmctx.errors import ConsoleError, ReplayError
from llmctx.replay.answer import Answer
from llmctx.replay.compare import RECORDED, compare_results
from llmctx.replay.page import render_page
from llmctx.replay.results import RESULTS, read_results
from llmctx.trail.log.entry import Entry

_HEAD_BYTES = 4096


class ResultsFile(NamedTuple):
    """One file of results."""

    name: str
    """Its name."""
    size_bytes: int
    """Its size."""
    changed_ms: int
    """When it was last written."""


class OtherAnswer(NamedTuple):
    """What somebody else said of a decision."""

    who: str
    """The prompt and the model, and the file it stands in."""
    label: str
    """The action."""
    confidence: str | None
    """The confidence."""
    reasoning: str | None
    """The reasoning."""


def comparisons_in(folder: Path | None) -> list[ResultsFile]:
    """The files of results in a folder, the newest first."""
    found = []
    for path in sorted(folder.glob("*.jsonl")) if folder is not None and folder.is_dir() else ():
        with path.open("rb") as file:
            if not RESULTS.matches(file.read(_HEAD_BYTES)):
                continue
        about = path.stat()
        found.append(ResultsFile(path.name, about.st_size, int(about.st_mtime * 1000)))
    return sorted(found, key=lambda file: -file.changed_ms)


def comparison_of(folder: Path, first: str, second: str) -> str:
    """The page that compares two files of results, one of which may be `recorded`.

    Raises ConsoleError if there is no such file, ReplayError if the two cannot be compared.
    """
    names = {file.name for file in comparisons_in(folder)}  # only these: a path may lead anywhere
    for name in (first, second):
        if name != RECORDED and name not in names:
            raise ConsoleError(f"There are no results {name!r} in {folder}.", "Choose two of the list.")
    if first == second == RECORDED:
        raise ConsoleError("There is nothing to compare.", "Choose at least one file of results.")
    files = [name if name == RECORDED else str(folder / name) for name in (first, second)]
    comparison, questions = compare_results(*files)
    return render_page(comparison, questions, style_at="/static/comparison.css", back_to="/compare")


def answers_of(folder: Path | None, origin: str, entry: Entry) -> list[OtherAnswer]:
    """What the results in a folder say of one record; a file that cannot be read says nothing."""
    found: list[OtherAnswer] = []
    for file in comparisons_in(folder):
        assert folder is not None  # there are no files without it
        try:
            answers = _by_place(folder / file.name, file.changed_ms, file.size_bytes)
        except ReplayError:
            continue
        for answer in answers.get((origin, entry.partition, entry.index), ()):
            decision = answer.decision or {}
            who = f"{answer.template or 'no prompt'}, {answer.served or answer.requested or 'no model'} ({file.name})"
            found.append(OtherAnswer(who, answer.label, decision.get("confidence"), decision.get("reasoning")))
    return found


@lru_cache(maxsize=8)
def _by_place(path: Path, _changed_ms: int, _size_bytes: int) -> dict[tuple[str, int, int], list[Answer]]:
    """The answers of a file by record; read again once the file has changed."""
    found: dict[tuple[str, int, int], list[Answer]] = {}
    for result in read_results(path).results:
        found.setdefault((result.origin, result.partition, result.index), []).append(result.replayed)
    return found
