"""The results of a replay: JSON Lines in a file of their own. What is in the file is not asked again.

    {"format":"llmctx-replay/1","asked":{...}}        what was asked for: another question needs another file
    {"text":SHA256,"content":TEXT}                    a message or an answer, before its first use
    {"result":{...}}                                  a record's side, the replay's side, and why they differ

A last line without an end was being written when the run was stopped; it is dropped.
"""

import fcntl
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from llmctx import canonical
from llmctx.errors import ReplayError
from llmctx.replay.cause import Cause
from llmctx.replay.place import Kind, check_place, format_of, unwritable
from llmctx.replay.side import Side

FORMAT = "llmctx-replay/1"
RESULTS = Kind("a results file of `llmctx replay`", lambda raw: format_of(raw) == FORMAT)
NO_ANSWER = ("unreachable", "timeout", "rejected")
"""Outcomes of a call to which no answer came: asked again there may be one."""
_OPTION = "--out"

Place = tuple[str, int, int]
"""Origin, partition and index of a record."""


@dataclass(frozen=True)
class Result:
    """One answer, beside what was recorded."""

    origin: str
    """The trail the record stands in."""
    partition: int
    """Its partition."""
    index: int
    """Its index."""
    repeat: int
    """Which of the repeats this is, from 1 on."""
    symbol: str
    """The position."""
    as_of_ms: int
    """The time of the package."""
    recorded: Side
    """What the record says."""
    replayed: Side
    """What the replay came to."""
    causes: tuple[Cause, ...] = ()
    """Why they differ, where they do."""
    held: str = "0"
    """The position's shares."""
    price: str = "0"
    """The price of one."""

    @property
    def place(self) -> Place:
        """Which record."""
        return self.origin, self.partition, self.index

    @property
    def final(self) -> bool:
        """Whether there is no point in asking again: the endpoint answered, or nothing was to be asked."""
        return self.replayed.outcome not in NO_ANSWER


class Results(NamedTuple):
    """What a results file holds."""

    asked: dict[str, Any]
    """What was asked for."""
    results: list[Result]
    """In the order in which they came, each record and repeat once."""
    size: int
    """Bytes up to the end of the last whole line."""


def read_results(path: Path) -> Results:
    """The results of a file.

    Raises ReplayError where it cannot be read, or holds something else.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ReplayError(f"The results {path} cannot be read: {error}.", "Name a file of `llmctx replay`.") from error
    if not raw:
        raise ReplayError(f"{path} is empty.", "Name a file that `llmctx replay` wrote.")
    if not RESULTS.fits(raw):
        raise ReplayError(
            f"{path} holds no results of {FORMAT}.",
            "Name what `llmctx replay` wrote in a mode that asks a model: --mode again, --prompt or --model.",
        )
    *lines, _ = raw.split(b"\n")
    texts: dict[str, str] = {}
    found: dict[tuple[Place, int], Result] = {}
    asked: dict[str, Any] = {}
    for number, line in enumerate(lines, start=1):
        try:
            document = canonical.loads(line)
            if number == 1:
                asked = document["asked"]
            elif "text" in document:
                texts[document["text"]] = _text(document)
            else:
                result = _result(document["result"], texts)
                found[result.place, result.repeat] = result
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ReplayError(
                f"Line {number} of {path} is no result: {type(error).__name__}: {error}.",
                "Take the file from a copy again, or ask all of it anew with `llmctx replay --fresh`.",
            ) from error
    return Results(asked, list(found.values()), len(raw) - len(raw.rpartition(b"\n")[2]))


class ResultsFile:
    """A results file that is written: opened where the same question left it, or new. One process at a time."""

    def __init__(
        self, path: Path, asked: dict[str, Any], *, fresh: bool = False, inputs: Iterable[Path | None] = ()
    ) -> None:
        """`fresh` asks everything anew; `inputs` are never written over.

        Raises ReplayError where the file holds another question or is no results file, or cannot be written.
        """
        self.path = path
        """Where it is."""
        self.before: list[Result] = []
        """What it held before and is not asked again."""
        self._asked = asked
        self._fresh = fresh
        self._inputs = tuple(inputs)
        self._texts: set[str] = set()

    def __enter__(self) -> Self:
        check_place(self.path, _OPTION, RESULTS, self._inputs)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._made = not self.path.exists()
            self._file = self.path.open("ab")
        except OSError as error:
            raise unwritable(self.path, _OPTION, error) from error
        self._lock()
        try:
            self._begin()
        except BaseException:
            self._close()
            raise
        return self

    def _begin(self) -> None:
        if self.path.is_file():
            size = 0 if self._fresh else self.path.stat().st_size
            if size:
                self._go_on()
                return
            self._file.truncate(0)
        self._write({"format": FORMAT, "asked": self._asked})

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def _close(self) -> None:
        try:
            if self._made:  # a file that holds no result tells nobody anything
                self.path.unlink()
            self._file.close()
        except OSError as error:
            raise unwritable(self.path, _OPTION, error) from error

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            raise ReplayError(
                f"Another replay is writing to {self.path}.",
                "Name another file with --out, or let the other replay end.",
            ) from error

    def _go_on(self) -> None:
        there = read_results(self.path)
        if there.asked != self._asked:
            other = sorted(
                name
                for name in there.asked.keys() | self._asked.keys()
                if there.asked.get(name) != self._asked.get(name)
            )
            if "template_sha256" in other and "prompt" not in other:
                other[other.index("template_sha256")] = "the source of its prompt, which was edited since"
            raise ReplayError(
                f"{self.path} holds the results of another question; it differs in {', '.join(other)}.",
                "Name another file with --out, or start it over with --fresh.",
            )
        self._file.truncate(there.size)
        self.before = [result for result in there.results if result.final]

    def add(self, result: Result) -> None:
        """Write a result; it is in the file when this returns."""
        document = vars(result) | {
            "recorded": self._kept(result.recorded.as_dict()),
            "replayed": self._kept(result.replayed.as_dict()),
            "causes": [list(cause) for cause in result.causes],
        }
        self._write({"result": document})
        self._made = False
        try:
            self._file.flush()
        except OSError as error:
            raise unwritable(self.path, _OPTION, error) from error

    def _kept(self, side: dict[str, Any]) -> dict[str, Any]:
        """A side with its texts by digest: prompts of one template are mostly the same words."""
        if "messages" in side:
            side["messages"] = [[role, self._digest(text)] for role, text in side["messages"]]
        if "answer" in side:
            side["answer"] = self._digest(side["answer"])
        return side

    def _digest(self, text: str) -> str:
        digest = canonical.sha256(text.encode(errors="replace"))
        if digest not in self._texts:
            self._texts.add(digest)
            self._write({"text": digest, "content": text.encode(errors="replace").decode()})
        return digest

    def _write(self, document: dict[str, Any]) -> None:
        try:
            self._file.write(canonical.dumps(document) + b"\n")
        except OSError as error:
            raise unwritable(self.path, _OPTION, error) from error


def _text(document: dict[str, Any]) -> str:
    content: str = document["content"]
    found = canonical.sha256(content.encode())
    if found != document["text"]:
        raise ValueError(f"its text should have the digest {document['text']}, and has {found}")
    return content


def _result(document: dict[str, Any], texts: dict[str, str]) -> Result:
    for name in ("recorded", "replayed"):
        side = document[name]
        if "messages" in side:
            side["messages"] = [[role, texts[digest]] for role, digest in side["messages"]]
        if "answer" in side:
            side["answer"] = texts[side["answer"]]
        document[name] = Side.of_dict(side)
    document["causes"] = tuple(Cause(*cause) for cause in document["causes"])
    return Result(**document)
