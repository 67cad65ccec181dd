"""Cases: what `@pytest.mark.corpus(FILE, ..., selection=TERMS)` gives to a test, one record or one file a case.

A mark that gives nothing gives a case with a problem, which fails: no test is skipped because a corpus is empty.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

from llmctx.errors import CorpusError
from llmctx.replay.corpus import Corpus, Recorded, read_corpus
from llmctx.replay.selection import Selection, parse_selection

_FORM = 'Write @pytest.mark.corpus("FILE", ...), perhaps with selection="action=exit,limit=20".'


class Case(NamedTuple):
    """What one test is about."""

    name: str
    """How the test is told from the others."""
    path: Path
    """The corpus file."""
    corpus: Corpus
    """What was selected of it."""
    entry: Recorded | None = None
    """The recorded decision; None where the test asks for the whole."""
    problem: str = ""
    """Why there is nothing to test."""

    @property
    def place(self) -> str:
        """Where the decision stands, for a reader."""
        if self.entry is None:
            return str(self.path)
        return f"{self.path}, record {self.entry.partition}:{self.entry.index} ({self.entry.record.get('symbol')})"


class Corpora:
    """Corpus files, each read once."""

    def __init__(self, root: Path) -> None:
        """`root` is what the files' paths are relative to."""
        self._root = root
        self._read: dict[Path, Corpus] = {}

    def read(self, path: Path) -> Corpus:
        """A corpus.

        Raises CorpusError where the file is none.
        """
        if path not in self._read:
            self._read[path] = read_corpus(path)
        return self._read[path]

    def cases(self, marks: Iterable[Any], *, whole: bool) -> list[Case]:
        """The cases of all marks of a test, each once: a record each, or with `whole` a file each."""
        found: dict[tuple[Any, ...], Case] = {}
        for mark in marks:
            try:
                selection = _selection(mark)
                for path in (self._root / file for file in mark.args):
                    for case in self._of_file(path, selection, whole=whole):
                        unique = selection if case.entry is None else case.entry.leaf_hash
                        found.setdefault((path, unique), case)
            except CorpusError as error:
                found[str(error), None] = _nothing(self._root, str(error))
        return list(found.values())

    def _of_file(self, path: Path, selection: Selection, *, whole: bool) -> list[Case]:
        corpus = self.read(path)
        wanted = (entry for entry in corpus.entries if selection.wants(entry) and (whole or "prompt" in entry.record))
        chosen = Corpus(list(islice(wanted, selection.limit)), corpus.blobs)
        if not chosen.entries:
            raise CorpusError(
                f"{path} has no decision to test: {_why(corpus, selection)}.",
                "Add some with `llmctx corpus add SELECTION FILE`, or select others.",
            )
        return [Case(path.stem, path, chosen)] if whole else list(_each(path, chosen))


def _each(path: Path, corpus: Corpus) -> Iterator[Case]:
    for entry in corpus.entries:
        yield Case(f"{path.stem}-{entry.partition}.{entry.index}-{entry.record.get('symbol')}", path, corpus, entry)


def _why(corpus: Corpus, selection: Selection) -> str:
    if not corpus.entries:
        return "it holds no records"
    if any(selection.wants(entry) for entry in corpus.entries):
        return "no model was asked in the records selected"
    return f"the selection fits none of its {len(corpus.entries)} records"


def _selection(mark: Any) -> Selection:
    """The selection of a mark.

    Raises CorpusError for a mark that is not understood.
    """
    odd = sorted(mark.kwargs.keys() - {"selection"})
    if odd:
        raise CorpusError(f"@pytest.mark.corpus knows no {', '.join(odd)}.", _FORM)
    if not mark.args:
        raise CorpusError("@pytest.mark.corpus names no file.", _FORM)
    for file in mark.args:
        if not isinstance(file, str | PathLike):
            raise CorpusError(f"@pytest.mark.corpus takes files, and {file!r} is none.", _FORM)
    text = mark.kwargs.get("selection", "all")
    if not isinstance(text, str):
        raise CorpusError(f"@pytest.mark.corpus takes a selection as a text, and {text!r} is none.", _FORM)
    return parse_selection(text)


def _nothing(root: Path, problem: str) -> Case:
    return Case("nothing", root, Corpus([], {}), problem=problem)
