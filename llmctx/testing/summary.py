"""The summary of a test run: each recorded decision beside what became of it, as `llmctx compare` puts them."""

from typing import Any

from llmctx import canonical
from llmctx.replay.chart import matrix
from llmctx.replay.compare import Comparison, compare, recorded_cases, replayed_cases
from llmctx.replay.corpus import Recorded
from llmctx.replay.results import Result
from llmctx.replay.side import Side

_WIDTH = 14


class Summary:
    """Results by prompt. One decision counts once a prompt, however many tests decide it."""

    def __init__(self) -> None:
        self._results: dict[str, dict[bytes, Result]] = {}
        self.scripted = 0
        """Answers of completers that a test passed: they are no flips, and stay out of the matrix."""
        self.tokens: int | None = None
        """Tokens that live calls took; None where nobody asked an endpoint."""

    def count(self, result: Result) -> None:
        """Count a result; the same answer to the same decision counts once."""
        self._results.setdefault(result.replayed.template, {}).setdefault(canonical.dumps(_plain(result)), result)

    def add(self, plain: bytes) -> None:
        """Count what another process counted, by what its `plain` gave."""
        document = canonical.loads(plain)
        for result in document["results"]:
            sides = {name: Side.of_dict(result[name]) for name in ("recorded", "replayed")}
            self.count(Result(**result | sides))
        self.scripted += document["scripted"]
        if document["tokens"] is not None:
            self.tokens = (self.tokens or 0) + document["tokens"]

    def plain(self) -> bytes:
        """The summary as JSON."""
        results = [_plain(result) for results in self._results.values() for result in results.values()]
        return canonical.dumps({"results": results, "scripted": self.scripted, "tokens": self.tokens})

    def lines(self) -> list[str]:
        """The flip matrix of each prompt, recorded actions by row."""
        lines: list[str] = []
        for prompt, found in sorted(self._results.items()):
            results = list(found.values())
            lines += _lines(compare(("recorded", prompt), recorded_cases(results), replayed_cases(results)))
        if self.scripted:
            lines.append(f"not counted: {self.scripted} answers of completers that tests passed")
        if self.tokens is not None:
            lines.append(f"live calls took {self.tokens} tokens")
        return lines


def result_of(entry: Recorded, recorded: Side, replayed: Side) -> Result:
    """A result for the summary: texts are left out, since nothing here compares them."""
    short = [side._replace(messages=(), answer=None, detail=None) for side in (recorded, replayed)]
    record = entry.record
    return Result(*entry.place, 1, record["symbol"], record["as_of_ms"], short[0], short[1])


def _lines(comparison: Comparison) -> list[str]:
    found = matrix(comparison.matrix)
    lines = [
        f"{comparison.b.name}: {_title(comparison)}",
        "  recorded \\ now".ljust(18) + "".join(action.rjust(_WIDTH) for action in found.actions),
    ]
    for action, row in zip(found.actions, found.rows, strict=True):
        if any(cell.decisions for cell in row):
            lines.append(f"  {action}".ljust(18) + "".join(str(cell.decisions or ".").rjust(_WIDTH) for cell in row))
    return lines


def _title(comparison: Comparison) -> str:
    answered = [pair for pair in comparison.pairs if pair.answered]
    without, sound = len(comparison.pairs) - len(answered), comparison.b.supported
    said = f"{sum(not pair.flipped for pair in answered)} of {len(answered)} as recorded"
    said += f", {without} without a usable answer" if without else ""
    return f"{said}, {sound.of - sound.count} with numbers not in the facts"


def _plain(result: Result) -> dict[str, Any]:
    sides = {"recorded": result.recorded.as_dict(), "replayed": result.replayed.as_dict()}
    return vars(result) | sides | {"causes": []}
