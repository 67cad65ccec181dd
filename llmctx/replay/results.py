"""The results file of a replay: JSON Lines. What it holds is not asked again.

    {"format":"llmctx-replay/1","asked":{...}}        the question: another question needs another file
    {"text":SHA256,"content":TEXT}                    a message or an answer, before its first use
    {"result":{...}}                                  the recorded answer, the replay's answer, and why they differ

An incomplete last line was being written when the run was killed; it is dropped.
"""

import fcntl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

from llmctx import canonical
from llmctx.errors import ReplayError
from llmctx.llm.completion import Outcome
from llmctx.replay.answer import Answer
from llmctx.replay.corpus import Place
from llmctx.replay.difference import Cause
from llmctx.replay.safe_write import Destination, FileKind, check_destination, format_of, write_error

FORMAT = "llmctx-replay/1"
RESULTS = FileKind("a results file of `llmctx replay`", lambda head: format_of(head) == FORMAT)
UNANSWERED = frozenset({Outcome.UNREACHABLE, Outcome.TIMEOUT, Outcome.REJECTED, Outcome.LIMITED, Outcome.ERROR})
"""Outcomes of calls that got no answer; asking again may get one."""


@dataclass(frozen=True)
class Result:
    """One answer of a replay beside the recorded one."""

    origin: str
    """The trail of the record."""
    partition: int
    """Its partition."""
    index: int
    """Its index."""
    repeat: int
    """The number of the repeat, from 1."""
    symbol: str
    """The position's symbol."""
    as_of_ms: int
    """The time of the package, in milliseconds."""
    recorded: Answer
    """The recorded answer."""
    replayed: Answer
    """The replay's answer."""
    causes: tuple[Cause, ...] = ()
    """Why they differ, if they do."""
    held: str = "0"
    """The position's quantity, in shares."""
    price: str = "0"
    """The price of a share."""

    @property
    def place(self) -> Place:
        """Which record."""
        return Place(self.origin, self.partition, self.index)

    @property
    def final(self) -> bool:
        """Whether it need not be asked again: the endpoint answered, or there was nothing to ask."""
        return self.replayed.outcome not in UNANSWERED

    def as_dict(self) -> dict[str, Any]:
        """Return the result as JSON values, texts included."""
        return vars(self) | {
            "recorded": self.recorded.as_dict(),
            "replayed": self.replayed.as_dict(),
            "causes": [list(cause) for cause in self.causes],
        }

    @classmethod
    def of_dict(cls, document: dict[str, Any]) -> "Result":
        """Return the result that `as_dict` wrote."""
        answers = {name: Answer.of_dict(document[name]) for name in ("recorded", "replayed")}
        return cls(**document | answers | {"causes": tuple(Cause(*cause) for cause in document["causes"])})


class Results(NamedTuple):
    """The content of a results file."""

    question: dict[str, Any]
    """What was asked: mode, selection, prompt, model, ..."""
    results: list[Result]
    """One for each record and repeat, in the order they came."""
    size_bytes: int
    """Length up to the end of the last complete line."""


def read_results(path: Path) -> Results:
    """Read a results file.

    Raises ReplayError if it cannot be read or holds something else.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ReplayError(f"The results {path} cannot be read: {error.strerror}.", "Check the path.") from error
    if not raw:
        raise ReplayError(f"{path} is empty.", "Name a file that `llmctx replay` wrote.")
    if not RESULTS.matches(raw):
        raise ReplayError(
            f"{path} is not a results file in the format {FORMAT}.",
            "Name a file that `llmctx replay` wrote in a mode that asks a model: --mode again, --prompt or --model.",
        )
    *lines, _ = raw.split(b"\n")
    texts: dict[str, str] = {}
    found: dict[tuple[Place, int], Result] = {}
    question: dict[str, Any] = {}
    for number, line in enumerate(lines, start=1):
        try:
            document = canonical.loads(line)
            if number == 1:
                question = document["asked"]
            elif "text" in document:
                texts[document["text"]] = _checked_text(document)
            else:
                result = Result.of_dict(_convert_texts(document["result"], texts.__getitem__))
                found[result.place, result.repeat] = result
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ReplayError(
                f"Line {number} of {path} is not a valid result: {type(error).__name__}: {error}.",
                "Restore the file from a copy, or ask everything again with `llmctx replay --fresh`.",
            ) from error
    return Results(question, list(found.values()), size_bytes=raw.rfind(b"\n") + 1)


def _checked_text(document: dict[str, Any]) -> str:
    content: str = document["content"]
    found = canonical.sha256(content.encode())
    if found != document["text"]:
        raise ValueError(f"its text should have the digest {document['text']}, but has {found}")
    return content


def _convert_texts(document: dict[str, Any], convert: Callable[[str], str]) -> dict[str, Any]:
    """Convert the messages and answers of a result to digests or back: prompts of one template share most text."""
    for answer in (document["recorded"], document["replayed"]):
        if "messages" in answer:
            answer["messages"] = [[role, convert(text)] for role, text in answer["messages"]]
        if "answer" in answer:
            answer["answer"] = convert(answer["answer"])
    return document


class ResultsFile:
    """A results file open for appending, by one process at a time. The same question resumes where it stopped."""

    def __init__(
        self, path: Path, question: dict[str, Any], *, fresh: bool = False, inputs: tuple[Path | None, ...] = ()
    ) -> None:
        """`fresh` discards earlier results; `inputs` are files that must not be overwritten.

        Entering raises ReplayError if the file holds another question or is no results file, or cannot be written.
        """
        self.path = path
        """Its path."""
        self.before: list[Result] = []
        """The final results that it held when it was opened."""
        self._destination = Destination(path, "--out", RESULTS, inputs)
        self._question = question
        self._fresh = fresh
        self._texts: set[str] = set()

    def __enter__(self) -> Self:
        check_destination(self._destination)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._remove_on_close = not self.path.exists()  # a new file without results is not kept
            self._file = self.path.open("ab")
        except OSError as error:
            raise write_error(self._destination, error) from error
        self._lock()
        try:
            self._begin()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self._close()

    def add(self, result: Result) -> None:
        """Write a result; it is in the file when this returns."""
        self._write({"result": _convert_texts(result.as_dict(), self._digest)})
        self._remove_on_close = False

    def _begin(self) -> None:
        if self.path.is_file():
            if not self._fresh and self.path.stat().st_size:
                self._resume()
                return
            self._file.truncate(0)
        self._write({"format": FORMAT, "asked": self._question})

    def _resume(self) -> None:
        found = read_results(self.path)
        if found.question != self._question:
            names = sorted(found.question.keys() | self._question.keys())
            differing = [name for name in names if found.question.get(name) != self._question.get(name)]
            if "template_sha256" in differing and "prompt" not in differing:
                differing[differing.index("template_sha256")] = "the source of its prompt, which was edited since"
            raise ReplayError(
                f"{self.path} holds the results of another question; it differs in {', '.join(differing)}.",
                "Name another file with --out, or start over with --fresh.",
            )
        self._file.truncate(found.size_bytes)
        self.before = [result for result in found.results if result.final]

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            raise ReplayError(
                f"Another replay is writing to {self.path}.", "Name another file with --out, or wait until it ends."
            ) from error

    def _close(self) -> None:
        try:
            if self._remove_on_close:
                self.path.unlink()
            self._file.close()
        except OSError as error:
            raise write_error(self._destination, error) from error

    def _digest(self, text: str) -> str:
        raw = text.encode(errors="replace")
        digest = canonical.sha256(raw)
        if digest not in self._texts:
            self._texts.add(digest)
            self._write({"text": digest, "content": raw.decode()})
        return digest

    def _write(self, document: dict[str, Any]) -> None:
        try:
            self._file.write(canonical.dumps(document) + b"\n")
            self._file.flush()
        except OSError as error:
            raise write_error(self._destination, error) from error
