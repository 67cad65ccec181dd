"""The flip matrices printed after a test run: recorded decisions beside those of the tests, by prompt."""

from llmctx import canonical
from llmctx.replay.compare import Comparison, compare
from llmctx.replay.results import Result
from llmctx.replay.sides import recorded_decisions, replayed_decisions

_CELL_CHARS = 14


class FlipSummary:
    """Results by prompt. Each decision counts once for a prompt, however many tests decide it."""

    def __init__(self) -> None:
        self._results: dict[str, dict[bytes, Result]] = {}
        self.scripted = 0
        """Answers of completers that tests passed; the matrix leaves them out."""
        self.tokens: int | None = None
        """Tokens used by live calls; None without an endpoint."""

    def count(self, result: Result) -> None:
        """Count a result; the same answer to the same decision counts once."""
        results = self._results.setdefault(result.replayed.template, {})
        results.setdefault(canonical.dumps(result.as_dict()), result)

    def add(self, serialized: bytes) -> None:
        """Add the summary that another process serialized."""
        document = canonical.loads(serialized)
        for result in document["results"]:
            self.count(Result.of_dict(result))
        self.scripted += document["scripted"]
        if document["tokens"] is not None:
            self.tokens = (self.tokens or 0) + document["tokens"]

    def serialize(self) -> bytes:
        """Return the summary as JSON."""
        results = [result.as_dict() for results in self._results.values() for result in results.values()]
        return canonical.dumps({"results": results, "scripted": self.scripted, "tokens": self.tokens})

    def lines(self) -> list[str]:
        """Return the flip matrix of each prompt, with recorded actions as rows."""
        lines: list[str] = []
        for prompt, found in sorted(self._results.items()):
            results = list(found.values())
            lines += _lines(compare(("recorded", prompt), recorded_decisions(results), replayed_decisions(results)))
        if self.scripted:
            lines.append(f"not counted: {self.scripted} answers of completers that tests passed")
        if self.tokens is not None:
            lines.append(f"live calls used {self.tokens} tokens")
        return lines


def _lines(comparison: Comparison) -> list[str]:
    same, sound, matrix = comparison.agreement, comparison.b.supported, comparison.flip_matrix
    unusable = f", {comparison.answerless} without a usable answer" if comparison.answerless else ""
    title = f"{same.count} of {same.of} as recorded{unusable}, {sound.of - sound.count} with false numbers"
    lines = [
        f"{comparison.b.name}: {title}",
        "  recorded \\ now".ljust(18) + "".join(action.rjust(_CELL_CHARS) for action in matrix.actions),
    ]
    for action, row in zip(matrix.actions, matrix.rows, strict=True):
        if any(cell.decisions for cell in row):
            lines.append(
                f"  {action}".ljust(18) + "".join(str(cell.decisions or ".").rjust(_CELL_CHARS) for cell in row)
            )
    return lines
