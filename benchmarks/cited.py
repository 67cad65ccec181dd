"""Cited answers of many models with planted faults: `python -m benchmarks.cited [examples]` counts them and shows some.

Ten styles, five languages, filled from the packages of two systems. What each number is worth is decided here by the
published rules alone: this imports nothing of the checker that is measured with it.
"""

import json
import random
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.cited_facts import CITATIONS, CitationError, Known, Roots, sections_of
from benchmarks.cited_faults import FAULTS, Part, Scene, plant
from benchmarks.cited_writing import SLOT, Figure, Manner, Slot, figure_of, manner_of, written
from llmctx.context.package import Package, build_package
from llmctx.context.snapshot import Snapshot

ASSETS = Path(__file__).parent.parent / "tests" / "assets" / "grounding"
SEED = 10
CLEAN = 3
"""How many faultless answers are made from each template."""
_TRIES = 60
_TEMPLATE = re.compile(r"%% (\w+) (\w+) (\w+)\n(.*?)\n(?=%%|\Z)", re.DOTALL)
_MENTION = re.compile(r"\[([a-z]+(?:\[\d+\])?\.[\w./ ]+)\]")
_NEUTRAL = "The facts named speak for it."


class Claim(NamedTuple):
    """One number of an answer, or a citation without a number."""

    span: tuple[int, int] | None
    """Where the number stands with its sign and unit; None for a mention."""
    text: str
    """The number; empty for a mention."""
    citation_span: tuple[int, int] | None
    """The span of the bracket; None for a number without one."""
    citation: str
    """The text in the bracket; empty without one."""
    outcome: str
    """right, miscited, uncited or mention. An uncited number that is false may be found to be a false price too."""
    fault: str | None
    """The kind of fault that was planted in it; None where there is none."""


class CitedAnswer(NamedTuple):
    """One answer with the truth about its numbers.

    Numbers of the text that no claim covers (`RSI(14)`, a footnote's `[1]`) are plain text: uncited, and never false.
    """

    style: str
    language: str
    package: Package
    field: str
    """The field of the answer that the text is: reasoning or invalidation."""
    text: str
    decision_json: str
    """The whole answer, as a model would return it."""
    claims: tuple[Claim, ...]

    @property
    def fault(self) -> str | None:
        """The kind of fault that was planted; None for an answer without one."""
        return next((claim.fault for claim in self.claims if claim.fault), None)


class Template(NamedTuple):
    """A text with slots for numbers."""

    style: str
    language: str
    field: str
    text: str


def templates() -> list[Template]:
    """The texts in `cited.txt`, each under a line `%% style language field`."""
    text = (ASSETS / "cited.txt").read_text(encoding="utf-8")
    return [Template(*found) for found in _TEMPLATE.findall(text)]


@cache
def cited_packages() -> tuple[Package, ...]:
    """The packages that are cited, in the order of time; market has a sector whose name needs quotes."""
    lines = [
        line
        for name in ("packages.jsonl", "packages_c.jsonl")
        for line in (ASSETS / name).read_text(encoding="utf-8").splitlines()
    ]
    found = [build_package(Snapshot.from_evidence(_with_sector(line, at))) for at, line in enumerate(lines)]
    return tuple(sorted(found, key=lambda package: package.as_of_ms))


def _with_sector(line: str, at: int) -> bytes:
    sector = rf"\"sector_performance\":{{\"consumer-staples\":{0.31 + at / 50:.2f},"
    return line.replace(r"\"sector_performance\":{", sector).encode()


def cited_answers(seed: int = SEED) -> list[CitedAnswer]:
    """The cited answers of a seed, the same every time.

    Of each template there are some without a fault and one with each kind of fault that it allows.
    """
    chance = random.Random(f"cited:{seed}")
    return [
        answer
        for template in templates()
        for fault in [None] * CLEAN + list(FAULTS)
        if (answer := _answer(template, fault, chance)) is not None
    ]


def _answer(template: Template, fault: str | None, chance: random.Random) -> CitedAnswer | None:
    for _ in range(_TRIES):
        at = chance.randrange(len(cited_packages()))
        package = cited_packages()[at]
        decision = _decision(template, package)
        scene = _scene(at, decision, manner_of(template.language, chance), chance)
        parts = _parts(template, scene)
        if parts and fault:
            parts = plant(fault, parts, scene)
        if parts:
            text, claims = _assembled(template.text, parts, package, scene.manner)
            raw = _decision_json(decision, template.field, text, package)
            return CitedAnswer(template.style, template.language, package, template.field, text, raw, claims)
    return None


@cache
def _sections(at: int) -> Roots:
    return sections_of(cited_packages()[at])


def _scene(at: int, decision: Mapping[str, Any], manner: Manner, chance: random.Random) -> Scene:
    symbols = [package.symbol for package in cited_packages()]
    known = [Known(package, {**_sections(i), "answer": decision}) for i, package in enumerate(cited_packages())]
    earlier = [known[i] for i in range(at) if symbols[i] == symbols[at]]
    others = [one for one, symbol in zip(known, symbols, strict=True) if symbol != symbols[at]]
    return Scene(known[at], earlier[-1] if earlier else None, chance.choice(others), manner, chance)


def _decision(template: Template, package: Package) -> dict[str, Any]:
    """What the answer decides: a new stop or a smaller position where the text cites them."""
    last, stop = package.price.price.last, package.position.stop_loss
    decision: dict[str, Any] = dict.fromkeys(("quantity", "stop_loss", "take_profit")) | {"action": "hold"}
    away = (last - (stop or last * Decimal("0.97"))) * Decimal("0.6")
    places = Decimal("0.00001") if last < 1 else Decimal("0.01")
    if "{astop" in template.text:
        decision |= {"action": "adjust_stops", "stop_loss": (last - away).quantize(places)}
    if "{atarget" in template.text:
        decision["take_profit"] = (last + away * 2).quantize(places)
    if "{aqty" in template.text:
        decision |= {"action": "reduce", "quantity": max(Decimal(1), package.position.quantity // 2)}
    return decision


def _parts(template: Template, scene: Scene) -> list[Part] | None:
    """The true numbers of a text; None where the package has nothing for one of its slots."""
    parts = []
    for name, flags, between in SLOT.findall(template.text):
        slot = Slot(name, flags, between)
        if name in CITATIONS:
            if (figure := _figure(slot, scene)) is None:
                return None
            parts.append(Part(slot, figure, CITATIONS[name], "right" if slot.is_cited else "uncited"))
    return parts


def _figure(slot: Slot, scene: Scene) -> Figure | None:
    try:
        return figure_of(slot, scene.known, scene.manner, scene.chance)
    except CitationError:
        return None


def _assembled(template: str, parts: list[Part], package: Package, manner: Manner) -> tuple[str, tuple[Claim, ...]]:
    """The text and the claims that stand in it."""
    rest, text, last = iter(parts), "", 0
    claims: list[Claim] = []
    for match in SLOT.finditer(template):
        claims += _mentions(template[last : match.start()], len(text))
        text += template[last : match.start()]
        last = match.end()
        if match[1] in CITATIONS:
            claim, piece = _claim(next(rest), manner, len(text))
            claims.append(claim)
            text += piece
        else:
            text += package.symbol if match[1] == "sym" else str(package.position.side)
    claims += _mentions(template[last:], len(text))
    return text + template[last:], tuple(claims)


def _claim(part: Part, manner: Manner, at: int) -> tuple[Claim, str]:
    shown = written(part.figure, manner)
    span = (at, at + len(shown))
    if not part.slot.is_cited:
        return Claim(span, shown, None, "", part.outcome, None), shown + part.slot.between
    lead = shown + part.slot.between + manner.gap
    bracket = (at + len(lead), at + len(lead) + len(part.citation) + 2)
    return Claim(span, shown, bracket, part.citation, part.outcome, part.fault), f"{lead}[{part.citation}]"


def _mentions(words: str, at: int) -> Iterator[Claim]:
    """The citations among a template's own words, which have no number before them in their sentence."""
    for match in _MENTION.finditer(words):
        yield Claim(None, "", (at + match.start(), at + match.end()), match[1], "mention", None)


def _decision_json(decision: Mapping[str, Any], field: str, text: str, package: Package) -> str:
    numbers = {name: float(value) if isinstance(value, Decimal) else value for name, value in decision.items()}
    item = {"path": "position.side", "value": package.position.side, "reading": "the side held"}
    texts = {"reasoning": _NEUTRAL, "invalidation": _NEUTRAL} | {field: text}
    answer = numbers | texts | {"confidence": 0.6, "evidence": [item], "valid_for": 15}
    return json.dumps(answer, ensure_ascii=False)


def main(examples: int = 12) -> None:
    """Print counts by style, language and kind of fault, and some answers to read."""
    answers = cited_answers()
    claims = [claim for answer in answers for claim in answer.claims]
    print(f"{len(answers)} answers, {len({id(answer.package) for answer in answers})} packages, {len(claims)} claims")
    print("outcomes:", dict(Counter(claim.outcome for claim in claims)))
    print("styles:", dict(Counter(answer.style for answer in answers)))
    print("languages:", dict(Counter(answer.language for answer in answers)))
    print("fields:", dict(Counter(answer.field for answer in answers)))
    print("faults:", dict(Counter(str(answer.fault) for answer in answers)))
    for answer in random.Random(1).sample(answers, examples):
        faults = [(claim.text, claim.citation) for claim in answer.claims if claim.fault]
        print(f"\n--- {answer.style} {answer.language} {answer.field} {answer.fault} {faults}\n{answer.text}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
