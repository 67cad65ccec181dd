"""The cited answers are labelled truly: worked out again here by other means, Python's own arithmetic on Decimals."""

import json
import re
import unicodedata
from collections import Counter
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Decimal
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from benchmarks import cited
from benchmarks.cited import SEED, CitedAnswer, Claim, cited_answers, cited_packages
from benchmarks.cited_faults import FAULTS
from llmctx.context.package import Package

WRONG_NUMBERS = {"changed", "swapped", "sign", "decimal_place", "stale", "other_symbol"}
NO_VALUE: dict[str, tuple[type[Exception], ...]] = {
    "wrong_path": (KeyError, IndexError),
    "text_in_arithmetic": (TypeError,),
    "division_by_zero": (ZeroDivisionError, ArithmeticError),
    "null": (ValueError,),
}
KINDS = {None, *FAULTS}
SCALES = {"": 1, "k": 1000, "M": 10**6, "万": 10**4, "亿": 10**8, "億": 10**8}
LITERAL = re.compile(r"(?<![\w\[.])(\d+(?:\.\d+)?)")
PATH = re.compile(r'[a-z]\w*(?:\.\w+|\[\d+\]|\["[^"]+"\])+')


class At:
    """A JSON object or array of which Python's own syntax takes the parts."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __getitem__(self, key: Any) -> Any:
        item = self.value[key]
        if isinstance(item, dict | list):
            return At(item)
        return Decimal(item) if type(item) is int else item

    def __getattr__(self, name: str) -> Any:
        return self[name]


class Shown(NamedTuple):
    """A number as it was read from the text."""

    number: Decimal
    places: int
    sign: str
    unit: str


@cache
def answers() -> list[CitedAnswer]:
    return cited_answers()


def claims() -> list[tuple[CitedAnswer, Claim]]:
    return [(answer, claim) for answer in answers() for claim in answer.claims]


def of_kind(*kinds: str) -> list[tuple[CitedAnswer, Claim]]:
    return [(answer, claim) for answer, claim in claims() if claim.fault in kinds]


def value_of(citation: str, package: Package, answer: dict[str, Any]) -> Any:
    """What a citation stands for; raises what Python raises where it stands for nothing, ValueError for null."""
    roots = {**facts(package.symbol, package.as_of_ms), "answer": At(answer), "abs": abs, "Decimal": Decimal}
    found = eval(LITERAL.sub(r"Decimal('\1')", citation), roots)
    if found is None:
        raise ValueError(citation)
    return found


@cache
def facts(symbol: str, as_of_ms: int) -> dict[str, Any]:
    """The sections of a package by name; those of signals under one name."""
    roots: dict[str, Any] = {"signals": {}}
    package = next(one for one in cited_packages() if (one.symbol, one.as_of_ms) == (symbol, as_of_ms))
    for name, section in package.sections.items():
        value = {} if section.value is None else section.value.model_dump()
        if name.startswith("signals."):
            roots["signals"][name.removeprefix("signals.")] = value
        else:
            roots[name] = value
    return {name: At(value) for name, value in roots.items()}


def value_for(answer: CitedAnswer, claim: Claim, package: Package | None = None) -> Any:
    decided = json.loads(answer.decision_json, parse_float=Decimal)
    return value_of(claim.citation, package or answer.package, decided)


def read(text: str, language: str) -> Shown:
    plain = unicodedata.normalize("NFKC", text).replace("\N{MINUS SIGN}", "-")
    matched = re.fullmatch(r"([+-]?)([\d., ]*\d) ?(%|bps|[kM万亿億]|)", plain)
    assert matched, text
    digits = matched[2].replace(" ", "")
    point, thousands = (",", ".") if language in ("de", "fr") else (".", ",")
    number = Decimal(digits.replace(thousands, "").replace(point, "."))
    return Shown(number, max(0, -int(number.as_tuple().exponent)), matched[1], matched[3])


def readings(citation: str, value: Decimal, unit: str) -> list[Decimal]:
    """What a number in this unit may be for a value."""
    percent = citation.endswith("_pct") or "sector_performance" in citation
    share = "/" in citation or citation.endswith(("confidence", "win_rate", "].score"))
    if unit == "bps":
        return [value * (100 if percent else 10_000)]
    if unit == "%":
        return [value if percent else value * 100]
    return [value / SCALES[unit], *([value * 100] if share and not unit else [])]


def is_right(claim: Claim, language: str, value: Decimal | str) -> bool:
    if isinstance(value, str):
        text = unicodedata.normalize("NFKC", claim.text)
        return (text.replace(",", ".") if language in ("de", "fr") else text) in value
    shown = read(claim.text, language)
    step = Decimal(1).scaleb(-shown.places)
    return any(
        abs(reading).quantize(step, rounding) == shown.number
        and (not shown.sign or (shown.sign == "-") == (reading < 0))
        for reading in readings(claim.citation, value, shown.unit)
        for rounding in (ROUND_HALF_EVEN, ROUND_DOWN)
    )


def test_every_number_that_is_said_to_be_right_is_what_its_citation_stands_for() -> None:
    right = [(answer, claim) for answer, claim in claims() if claim.outcome == "right"]
    assert len(right) >= 4000
    for answer, claim in right:
        assert claim.fault is None
        assert is_right(claim, answer.language, value_for(answer, claim)), (claim, answer.text)


def test_every_planted_number_is_not_what_its_citation_stands_for() -> None:
    for answer, claim in of_kind(*WRONG_NUMBERS):
        assert claim.outcome == "miscited"
        assert not is_right(claim, answer.language, value_for(answer, claim)), (claim, answer.text)


@pytest.mark.parametrize("kind", sorted(NO_VALUE))
def test_every_planted_citation_stands_for_nothing(kind: str) -> None:
    for answer, claim in of_kind(kind):
        assert claim.outcome == "miscited"
        with pytest.raises(NO_VALUE[kind]):
            value_for(answer, claim)


def test_a_stale_number_was_right_earlier_and_one_of_another_symbol_is_right_there() -> None:
    for answer, claim in of_kind("stale", "other_symbol"):
        sources = [
            package
            for package in cited_packages()
            if (claim.fault == "stale") == (package.symbol == answer.package.symbol)
            and (claim.fault != "stale" or package.as_of_ms < answer.package.as_of_ms)
        ]
        assert any(_fits(answer, claim, package) for package in sources), claim


def _fits(answer: CitedAnswer, claim: Claim, package: Package) -> bool:
    try:
        return is_right(claim, answer.language, value_for(answer, claim, package))
    except (LookupError, TypeError, ValueError, ArithmeticError):
        return False


def test_a_turned_sign_and_a_moved_point_are_the_only_thing_wrong() -> None:
    for answer, claim in of_kind("sign"):
        assert is_right(claim, answer.language, -value_for(answer, claim))
    moved = of_kind("decimal_place")
    tenfold = [
        claim
        for answer, claim in moved
        for factor in (Decimal(10), Decimal("0.1"))
        if is_right(claim, answer.language, value_for(answer, claim) * factor)
    ]
    assert len(tenfold) >= 0.7 * len(moved)  # a moved point may cost a digit that rounding needs


def test_swapped_numbers_are_right_behind_each_others_citation() -> None:
    for answer in answers():
        if answer.fault == "swapped":
            one, two = (claim for claim in answer.claims if claim.fault)
            exchanged = (one._replace(citation=two.citation), two._replace(citation=one.citation))
            assert all(is_right(claim, answer.language, value_for(answer, claim)) for claim in exchanged)


def test_laundering_citations_have_another_literal_or_no_path_and_make_the_false_number_come_out() -> None:
    for answer, claim in of_kind("launder_literal", "launder_no_path"):
        assert claim.outcome == "uncited"
        paths = PATH.findall(claim.citation)
        assert bool(paths) == (claim.fault == "launder_literal")
        assert not paths or set(LITERAL.findall(PATH.sub("", claim.citation))) - {"0", "1", "2", "100"}
        value = value_for(answer, claim)
        assert is_right(claim, answer.language, value) or abs(value) == read(claim.text, answer.language).number
        named = [claim._replace(citation=path) for path in paths]
        assert not any(is_right(one, answer.language, value_for(answer, one)) for one in named)


def test_each_fault_is_planted_once_in_a_text() -> None:
    for answer in answers():
        planted = Counter(claim.fault for claim in answer.claims if claim.fault)
        assert planted in ({}, {answer.fault: 2 if answer.fault == "swapped" else 1})


def test_spans_are_those_of_the_numbers_and_brackets_and_nothing_is_numbered_between_them() -> None:
    for answer, claim in claims():
        if claim.span:
            assert answer.text[slice(*claim.span)] == claim.text
        if claim.citation_span:
            assert answer.text[slice(*claim.citation_span)] == f"[{claim.citation}]"
        if claim.span and claim.citation_span:
            assert not re.search(r"[\d.!?。\n]", answer.text[claim.span[1] : claim.citation_span[0]])


def test_mentions_have_no_number_before_them_in_their_sentence() -> None:
    mentions = [(answer, claim) for answer, claim in claims() if claim.outcome == "mention"]
    assert mentions
    for answer, claim in mentions:
        assert claim.citation_span
        sentence = re.split(r"[.!?]\s|。|\n", answer.text[: claim.citation_span[0]])[-1]
        assert not re.search(r"\d", sentence), answer.text


def test_cited_paths_are_facts_that_a_prompt_shows_and_citations_keep_to_the_limits() -> None:
    for answer, claim in claims():
        assert len(claim.citation) <= 200
        assert len(re.findall(r" [-+*/] |abs", claim.citation)) <= 8
        if claim.outcome == "right":
            shown = {_plain(fact.path) for facts in answer.package.facts.values() for fact in facts}
            cited = {_plain(path) for path in PATH.findall(claim.citation) if not path.startswith("answer.")}
            assert cited <= shown


def _plain(path: str) -> str:
    return path.replace('["', ".").replace('"]', "")


def test_the_set_has_the_breadth_that_it_is_to_have() -> None:
    made = answers()
    assert len(made) >= 400
    styles = {answer.style for answer in made}
    assert len(styles) == 10
    assert {(answer.style, answer.fault) for answer in made} == {(style, kind) for style in styles for kind in KINDS}
    pairs = {(answer.style, answer.language) for answer in made}
    assert min(Counter(style for style, _ in pairs).values()) >= 3
    assert min(Counter(language for _, language in pairs).values()) >= 3
    assert len({language for _, language in pairs}) == 5
    assert {answer.field for answer in made} == {"reasoning", "invalidation"}
    assert sum(answer.fault is None for answer in made) >= 100
    lasts = {answer.package.price.price.last for answer in made}
    assert len(lasts) >= 15
    assert (min(lasts), max(lasts)) == (Decimal("0.0842"), Decimal(67350))


@pytest.mark.parametrize(
    "sort", ["%", "bps", "k", "M", "万", "亿", "億", "\uff05", "\uff18", "\N{MINUS SIGN}", "\u202f", ":"]
)
def test_numbers_are_written_in_every_way(sort: str) -> None:
    assert any(sort in claim.text for _, claim in claims())


def test_some_right_numbers_are_rounded_and_some_are_cut() -> None:
    ways: Counter[str] = Counter()
    for answer, claim in claims():
        if claim.outcome == "right" and PATH.fullmatch(claim.citation) and re.fullmatch(r"[\d.,]+", claim.text):
            value, shown = value_for(answer, claim), read(claim.text, answer.language)
            step = Decimal(1).scaleb(-shown.places)
            if isinstance(value, Decimal) and shown.number != abs(value):
                cut = abs(value).quantize(step, ROUND_DOWN)
                ways["cut" if shown.number == cut else "rounded up"] += 1
    assert min(ways["rounded up"], ways["cut"]) >= 50


def test_the_answer_holds_the_text_in_its_field() -> None:
    for answer in answers():
        decided = json.loads(answer.decision_json)
        assert decided[answer.field] == answer.text
        assert (decided["quantity"] is not None) == (decided["action"] == "reduce")


def test_a_seed_gives_the_same_answers_every_time_and_another_seed_others() -> None:
    texts = [answer.text for answer in answers()]
    assert texts == [answer.text for answer in cited_answers(SEED)]
    assert texts != [answer.text for answer in cited_answers(SEED + 1)]


def test_the_generator_imports_nothing_of_the_checker() -> None:
    sources = [path.read_text(encoding="utf-8") for path in Path(cited.__file__).parent.glob("cited*.py")]
    assert len(sources) == 4
    assert not any("llmctx.decision" in source or "benchmarks.grounding" in source for source in sources)
