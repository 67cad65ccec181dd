"""Grounding on cited answers: `python -m benchmarks.grounding_cited` prints a table by style, with -v every mistake."""

import sys
from collections.abc import Iterable
from typing import NamedTuple

from benchmarks.cited import CitedAnswer, Claim, cited_answers
from llmctx.decision.decision import Decision
from llmctx.decision.grounding import Finding, ground
from llmctx.decision.parse import parse


class CitedScore(NamedTuple):
    """How grounding did on some answers."""

    answers: int
    """Answers."""
    right: int
    """Numbers that are what they cite."""
    planted: int
    """Planted faults."""
    found: int
    """Of those, found: miscited, or not taken for cited where the citation supports any number."""
    alarms: int
    """True numbers called miscited or false."""
    unseen: int
    """Answers in which more or fewer numbers were taken for cited than are."""
    mistakes: tuple[str, ...]
    """Each mistake with its text."""


def score_one(answer: CitedAnswer) -> CitedScore:
    """Compare the claims of an answer with the findings of grounding."""
    decision = parse(answer.decision_json)
    assert isinstance(decision, Decision)
    grounding = ground(answer.package, decision)
    right = sum(claim.outcome == "right" for claim in answer.claims)
    planted = [claim for claim in answer.claims if claim.fault is not None]
    found = [
        claim
        for claim in planted
        if (grounding.cited <= right if claim.outcome == "uncited" else _hits(claim, grounding.miscited))
    ]
    faults = [claim for claim in planted if claim.outcome == "miscited"]
    alarms = [item for item in grounding.miscited if not any(_hits(claim, [item]) for claim in faults)]
    alarms += [item for item in grounding.false_prices if not any(_hits(claim, [item]) for claim in planted)]
    mistakes = [f"MISSED {claim.fault} {claim.text} [{claim.citation}]" for claim in planted if claim not in found]
    mistakes += [f"ALARM {item}" for item in alarms]
    if grounding.cited != right:
        mistakes.append(f"CITED {grounding.cited} of {right}, {grounding.unread} unread")
    where = f" in {answer.style} {answer.language} {answer.field}: {answer.text}"
    return CitedScore(
        1, right, len(planted), len(found), len(alarms), int(grounding.cited != right),
        tuple(mistake + where for mistake in mistakes),
    )  # fmt: skip


def _hits(claim: Claim, items: Iterable[Finding]) -> bool:
    """Whether one of these is about the number of a claim, or about what its bracket says again."""
    if claim.span is None:
        return False
    start, end = claim.span[0], (claim.citation_span or claim.span)[1]
    return any(item.at < end and start < item.at + len(item.text) for item in items)


def together(scores: Iterable[CitedScore]) -> CitedScore:
    """The scores of several answers as one."""
    answers, right, planted, found, alarms, unseen, mistakes = zip(*scores, strict=True)
    every = tuple(mistake for some in mistakes for mistake in some)
    return CitedScore(sum(answers), sum(right), sum(planted), sum(found), sum(alarms), sum(unseen), every)


def table(answers: Iterable[CitedAnswer]) -> list[str]:
    """The scores by style, language and kind of fault, as a table in Markdown."""
    scored = [(answer, score_one(answer)) for answer in answers]
    lines = [
        "| answers | count | numbers cited | faults planted | found | true ones called false |",
        "|---|---|---|---|---|---|",
    ]
    for name in ("style", "language", "fault"):
        kinds = sorted({str(getattr(answer, name)) for answer, _ in scored} - {"None"})
        for kind in kinds:
            got = together(one for answer, one in scored if str(getattr(answer, name)) == kind)
            lines.append(
                f"| {name} {kind} | {got.answers} | {got.right} | {got.planted} | {got.found} | {got.alarms} |"
            )
    got = together(one for _, one in scored)
    return [*lines, f"| all | {got.answers} | {got.right} | {got.planted} | {got.found} | {got.alarms} |"]


def measure() -> dict[str, str]:
    """grounding_cited_found and grounding_cited_alarms, of all cited answers."""
    answers = cited_answers()
    print("\n".join(table(answers)))
    got = together(map(score_one, answers))
    return {
        "grounding_cited_answers": f"{got.answers} answers",
        "grounding_cited_found": f"{got.found / got.planted:.4f} share",
        "grounding_cited_alarms": f"{got.alarms} numbers",
    }


if __name__ == "__main__":
    for name, value in measure().items():
        print(f"bench {name} {value}")
    if "-v" in sys.argv:
        print("\n".join(together(map(score_one, cited_answers())).mistakes))
