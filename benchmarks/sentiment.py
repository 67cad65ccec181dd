"""How well headlines are read: `python -m benchmarks.sentiment FILE.csv` over headlines that others have labelled.

The file has the columns `text` and `label` (0 bearish, 1 bullish, 2 neutral). No such file is shipped: those that exist
may not be passed on, and a table of words is worth only what it is worth on headlines that it was not made from.
"""

import csv
import re
import sys
from collections.abc import Callable, Iterable
from decimal import Decimal
from pathlib import Path

from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from llmctx.flow.sentiment import score_of

_MIN_BULLISH = Decimal("0.05")
_LABELS = {"0": "bearish", "1": "bullish", "2": "neutral"}
_ADDRESS = re.compile(r"https?://\S+")


def read_labelled(path: Path) -> list[tuple[str, str]]:
    """The headlines of a file without addresses in them, each with its label."""
    with path.open(encoding="utf-8", newline="") as file:
        return [(_ADDRESS.sub("", row["text"]), _LABELS[row["label"]]) for row in csv.DictReader(file)]


def shares(score: Callable[[str], Decimal | None], labelled: Iterable[tuple[str, str]]) -> dict[str, float]:
    """Of the bullish and bearish headlines: which share is read right, the wrong way round, and not at all."""
    polar = [(text, label) for text, label in labelled if label != "neutral"]
    found = [(_label_of(score(text)), label) for text, label in polar]
    counts = {
        "right": sum(said == label for said, label in found),
        "wrong_way": sum(said not in (label, "neutral", None) for said, label in found),
        "not_read": sum(said is None for said, _ in found),
    }
    return {name: count / len(found) for name, count in counts.items()}


def _label_of(score: Decimal | None) -> str | None:
    if score is None:
        return None
    return "bullish" if score >= _MIN_BULLISH else "bearish" if score <= -_MIN_BULLISH else "neutral"


def _vader_alone() -> Callable[[str], Decimal | None]:
    analyzer = SentimentIntensityAnalyzer()

    def score(text: str) -> Decimal | None:
        found = analyzer.polarity_scores(text)
        return Decimal(str(found["compound"])) if found["pos"] or found["neg"] else None

    return score


def main(path: Path) -> None:
    """Print the shares for llmctx and for VADER alone."""
    labelled = read_labelled(path)
    for name, score in (("llmctx", score_of), ("vader", _vader_alone())):
        for what, share in shares(score, labelled).items():
            print(f"bench sentiment_{name}_{what} {share:.3f} of_polar_headlines")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
