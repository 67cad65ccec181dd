"""The results of a replay: JSON Lines in a file of their own. What is in the file is not asked again.

    {"format":"llmctx-replay/1","asked":{...}}        what was asked for: another question needs another file
    {"text":SHA256,"content":TEXT}                    a message or an answer, before its first use
    {"result":{...}}                                  a record's side, the replay's side, and why they differ

A last line without an end was being written when the run was stopped; it is dropped.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from llmctx import canonical
from llmctx.errors import ReplayError
from llmctx.replay.cause import Cause
from llmctx.replay.place import Kind, format_of
from llmctx.replay.side import Side

FORMAT = "llmctx-replay/1"
RESULTS = Kind("a results file of `llmctx replay`", lambda raw: format_of(raw) == FORMAT)
NO_ANSWER = ("unreachable", "timeout", "rejected")
"""Outcomes of a call to which no answer came: asked again there may be one."""

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
        raise ReplayError(
            f"The results {path} cannot be read: {error.strerror}.", "Name a file of `llmctx replay`."
        ) from error
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
