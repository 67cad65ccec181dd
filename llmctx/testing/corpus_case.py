"""The cases that `@pytest.mark.corpus(FILE, ..., selection=TERMS)` gives to a test: one for each record or file.

A mark that selects nothing gives a failing case, so that no test is skipped because a corpus is empty.
"""

from collections.abc import Iterable
from itertools import islice
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

from llmctx.errors import CorpusError
from llmctx.replay.corpus import BlobCache, Corpus, Recorded, read_corpus
from llmctx.replay.selection import Selection, parse_selection

_EXAMPLE = 'Write @pytest.mark.corpus("FILE", ...), optionally with selection="action=exit,limit=20".'


class CorpusCase(NamedTuple):
    """The subject of one test."""

    name: str
    """The test id."""
    path: Path
    """The corpus file."""
    corpus: Corpus
    """The selected part of the file."""
    entry: Recorded | None = None
    """The recorded decision; None if the test asks for the whole file."""
    problem: str = ""
    """Why there is nothing to test; empty otherwise."""

    @property
    def place(self) -> str:
        """Where the decision is, for messages."""
        if self.entry is None:
            return str(self.path)
        return f"{self.path}, record {self.entry.partition}:{self.entry.index} ({self.entry.record.get('symbol')})"


class CorpusFiles:
    """Corpus files, each read once."""

    def __init__(self, root: Path) -> None:
        """Paths are relative to `root`."""
        self._root = root
        self._read: dict[Path, Corpus] = {}

    def read(self, path: Path) -> Corpus:
        """Return the corpus in a file.

        Raises CorpusError if the file is not a valid corpus.
        """
        if path not in self._read:
            self._read[path] = read_corpus(path)
        return self._read[path]

    def cases(self, marks: Iterable[Any], *, whole: bool) -> list[CorpusCase]:
        """Return the distinct cases of a test's marks: one for each record, or with `whole` for each file."""
        found: dict[tuple[Any, ...], CorpusCase] = {}
        for mark in marks:
            try:
                selection = _selection_of(mark)
                for path in (self._root / file for file in mark.args):
                    for case in self._of_file(path, selection, whole=whole):
                        unique = selection if case.entry is None else case.entry.leaf_hash
                        found.setdefault((path, unique), case)
            except CorpusError as error:
                problem = str(error)
                found[problem, None] = CorpusCase("nothing", self._root, Corpus([], BlobCache()), problem=problem)
        return list(found.values())

    def _of_file(self, path: Path, selection: Selection, *, whole: bool) -> list[CorpusCase]:
        corpus = self.read(path)
        wanted = (
            entry for entry in corpus.entries if selection.includes(entry) and (whole or "prompt" in entry.record)
        )
        chosen = Corpus(list(islice(wanted, selection.limit)), corpus.blobs)
        if not chosen.entries:
            raise CorpusError(
                f"{path} has no decision to test: {_why(corpus, selection)}.",
                "Add some with `llmctx corpus add SELECTION FILE`, or change the selection.",
            )
        if whole:
            return [CorpusCase(path.stem, path, chosen)]
        return [
            CorpusCase(f"{path.stem}-{entry.partition}.{entry.index}-{entry.record.get('symbol')}", path, chosen, entry)
            for entry in chosen.entries
        ]


def _why(corpus: Corpus, selection: Selection) -> str:
    if not corpus.entries:
        return "it holds no records"
    if any(selection.includes(entry) for entry in corpus.entries):
        return "the selected records asked no model"
    return f"the selection matches none of its {len(corpus.entries)} records"


def _selection_of(mark: Any) -> Selection:
    """Return the selection of a mark.

    Raises CorpusError for a malformed mark.
    """
    unknown = sorted(mark.kwargs.keys() - {"selection"})
    if unknown:
        raise CorpusError(f"@pytest.mark.corpus does not take {', '.join(unknown)}.", _EXAMPLE)
    if not mark.args:
        raise CorpusError("@pytest.mark.corpus names no file.", _EXAMPLE)
    for file in mark.args:
        if not isinstance(file, str | PathLike):
            raise CorpusError(f"@pytest.mark.corpus takes file names, not {file!r}.", _EXAMPLE)
    text = mark.kwargs.get("selection", "all")
    if not isinstance(text, str):
        raise CorpusError(f"@pytest.mark.corpus takes the selection as text, not {text!r}.", _EXAMPLE)
    return parse_selection(text)
