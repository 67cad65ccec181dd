"""Uncited prices against labelled reasonings: `python -m benchmarks.grounding [tuned|foreign_a|...]`, -v for mistakes.

precision: planted false numbers / prices said to be false; recall: planted false prices said to be false / all of them.
The published figures are over all texts together that nobody looked at while the rules were written.
"""

import json
import sys
import time
from collections.abc import Iterable
from decimal import Decimal
from typing import NamedTuple

from benchmarks.reasonings import HALVES, HELD_OUT, Reasoning, packages, reasonings
from llmctx.assets import asset
from llmctx.decision.decision import Action, Decision, Evidence
from llmctx.decision.grounding import ground
from llmctx.decision.parse import parse
from llmctx.llm.rulebook import Facts, decide
from llmctx.prompt.render import render
from llmctx.prompt.template import load_template


class Score(NamedTuple):
    """How grounding did on a set."""

    texts: int
    planted: int
    found: int
    rightly: int
    wrongly: int
    mistakes: tuple[str, ...]

    @property
    def precision(self) -> float:
        """Of the prices said to be false, the share that is."""
        return self.rightly / (self.rightly + self.wrongly)

    @property
    def recall(self) -> float:
        """Of the false prices, the share said to be false."""
        return self.found / self.planted


def answer_of(reasoning: Reasoning) -> Decision:
    """A hold with this reasoning."""
    item = Evidence(path="price.price.last", value=str(reasoning.package.price.price.last), reading="now")
    return Decision(
        action=Action.HOLD, quantity=None, stop_loss=None, take_profit=None, confidence=Decimal("0.6"),
        reasoning=reasoning.text, evidence=[item], invalidation="A new fact.", valid_for=5,
    )  # fmt: skip


def score(texts: Iterable[Reasoning]) -> Score:
    """Compare each text's labels with the findings of grounding."""
    count = planted = found = rightly = wrongly = 0
    mistakes: list[str] = []
    for text in texts:
        grounding = ground(text.package, answer_of(text))
        count, planted = count + 1, planted + len(text.prices)
        hit = set()
        for item in grounding.false_prices:
            end = item.at + len(item.text)
            spans = {span for span in text.planted if span[0] < end and item.at < span[1]}
            hit |= spans
            rightly += bool(spans)
            if not spans:
                wrongly += 1
                mistakes.append(f"WRONGLY {item} in: {text.text}")
        found += len(hit & set(text.prices))
        mistakes += [f"MISSED {text.text[a:b]!r} in: {text.text}" for a, b in sorted(set(text.prices) - hit)]
    return Score(count, planted, found, rightly, wrongly, tuple(mistakes))


def together(scores: Iterable[Score]) -> Score:
    """The scores of several sets as that of one."""
    texts, planted, found, rightly, wrongly, mistakes = zip(*scores, strict=True)
    every = tuple(mistake for some in mistakes for mistake in some)
    return Score(sum(texts), sum(planted), sum(found), sum(rightly), sum(wrongly), every)


def standin_us(rounds: int = 200) -> float:
    """Microseconds of CPU that grounding an answer of the stand-in takes, the best of five times."""
    template = load_template(asset("prompts"), "position")
    asked = [(package, render(template, package).messages[1].content) for package in packages()]
    answers = [(package, parse(json.dumps(decide(Facts(text))))) for package, text in asked]
    pairs = [(package, answer) for package, answer in answers if isinstance(answer, Decision)]
    best = float("inf")
    for _ in range(5):
        began = time.process_time()
        for _ in range(rounds):
            for package, answer in pairs:
                ground(package, answer)
        best = min(best, (time.process_time() - began) / rounds / len(pairs) * 1e6)
    return best


def measure(halves: Iterable[str] = HALVES, *, verbose: bool = False) -> dict[str, str]:
    """Precision and recall on uncited prices of the texts that were not tuned on, and the cost of an answer."""
    scores: dict[str, Score] = {}
    for half in halves:
        got = scores[half] = score(reasonings(half))
        print(
            f"uncited prices, {half}: {got.texts} texts, {got.planted} false prices planted, {got.found} found, "
            f"{got.wrongly} others called false (precision {got.precision:.3f}, recall {got.recall:.3f})"
        )
        if verbose:
            print("\n".join(got.mistakes))
    told = together([scores[half] for half in HELD_OUT if half in scores] or list(scores.values()))
    return {
        "grounding_precision": f"{told.precision:.3f} share",
        "grounding_recall": f"{told.recall:.3f} share",
        "grounding_standin_us": f"{standin_us():.0f} us",
    }


if __name__ == "__main__":
    named = [half for half in sys.argv[1:] if half in HALVES]
    for name, value in measure(named or HALVES, verbose="-v" in sys.argv).items():
        print(f"bench {name} {value}")
