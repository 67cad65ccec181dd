"""A results file that is written: what is in it is not asked again, and nothing else is ever written over."""

import fcntl
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from llmctx import canonical
from llmctx.errors import ReplayError
from llmctx.replay.place import check_place, unwritable
from llmctx.replay.results import FORMAT, RESULTS, Result, read_results

_OPTION = "--out"


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
