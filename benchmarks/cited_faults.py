"""Faults planted in a cited answer: a number that is not what its citation says, or a citation that says nothing."""

import random
import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import NamedTuple

from benchmarks.cited_facts import CitationError, Known, is_off
from benchmarks.cited_writing import Figure, Manner, Slot, restated, scale_of

TEXTS = ("position.side", "market.market_regime", "system.market_status", "monitoring.stop_loss.distance")
NULLS = ("indicators.macd_signal", "market.vix", "performance.win_rate", "answer.quantity", "answer.take_profit")
UNKNOWN = {
    "price.price.last": ("price.last", "price.price.close"), "position.stop_loss": ("position.stop",),
    "position.take_profit": ("position.target",), "position.entry_price": ("position.entry", "position.avg_price"),
    "indicators.rsi_14": ("indicators.rsi", "indicators.rsi_7"), "candidates[0].score": ("candidates[97].score",),
    "position.unrealized_pnl": ("position.pnl", "positions.unrealized_pnl", "performance.unrealized_pnl"),
}  # fmt: skip
"""Paths that models make up; the rest get a suffix. Those of no section are no citations and are left out."""
_PATH = re.compile(r'[a-z]\w*(?:\.\w+|\[\d+\]|\["[^"]+"\])+')


class Part(NamedTuple):
    """A number in an answer, with its citation and the expected finding."""

    slot: Slot
    figure: Figure
    citation: str
    outcome: str
    fault: str | None = None


class Scene(NamedTuple):
    """The material for a fault."""

    known: Known
    earlier: Known | None
    """The same symbol at an earlier time."""
    other: Known
    """Another symbol."""
    manner: Manner
    chance: random.Random


Planted = dict[int, Part]
"""The parts that a fault changes, by their place among the parts."""
Planter = Callable[[Sequence[Part], Scene], Planted]


def plant(fault: str, parts: Sequence[Part], scene: Scene) -> list[Part] | None:
    """The parts with one fault of this kind; None where nothing in them allows it."""
    planted = FAULTS[fault](parts, scene)
    outcome = "uncited" if fault.startswith("launder") else "miscited"
    for place, part in planted.items():
        planted[place] = part._replace(outcome=outcome, fault=fault)
    return [planted.get(place, part) for place, part in enumerate(parts)] if planted else None


def _candidates(parts: Sequence[Part], scene: Scene) -> list[tuple[int, Part]]:
    """The cited numbers, in an order of their own."""
    found = [(place, part) for place, part in enumerate(parts) if part.slot.is_cited]
    return scene.chance.sample(found, len(found))


def _numbers(parts: Sequence[Part], scene: Scene) -> list[tuple[int, Part]]:
    return [(place, part) for place, part in _candidates(parts, scene) if part.figure.raw is None]


def _is_false(part: Part, figure: Figure, scene: Scene, citation: str | None = None) -> bool:
    """Whether a number is false by every reading of the rules."""
    cited = citation or part.citation
    value = scene.known.value(cited)
    if isinstance(value, str):
        return figure.raw is not None and figure.raw not in value
    return is_off(figure.number, figure.places, value * scale_of(part.slot, cited)[1])


def _other_digit(part: Part, scene: Scene) -> Figure | None:
    figure = part.figure
    digits = figure.raw or f"{abs(figure.number):.{figure.places}f}"
    places = [place for place, sign in enumerate(digits) if sign.isdigit()]
    for _ in range(30):
        place = scene.chance.choice(places)
        digit = scene.chance.choice("123456789".replace(digits[place], ""))
        other = digits[:place] + digit + digits[place + 1 :]
        if figure.raw is not None:
            changed = figure._replace(raw=other)
        else:
            changed = figure._replace(number=Decimal(other).copy_sign(figure.number))
        if _is_false(part, changed, scene):
            return changed
    return None


def _changed(parts: Sequence[Part], scene: Scene) -> Planted:
    for place, part in _candidates(parts, scene):
        if (figure := _other_digit(part, scene)) is not None:
            return {place: part._replace(figure=figure)}
    return {}


def _swapped(parts: Sequence[Part], scene: Scene) -> Planted:
    plain = [(place, part) for place, part in _numbers(parts, scene) if not part.figure.unit]
    for place, one in plain:
        for with_place, two in plain:
            if _is_false(one, one.figure, scene, two.citation) and _is_false(two, two.figure, scene, one.citation):
                return {place: one._replace(citation=two.citation), with_place: two._replace(citation=one.citation)}
    return {}


def _sign(parts: Sequence[Part], scene: Scene) -> Planted:
    for place, part in _numbers(parts, scene):
        if part.figure.sign:
            sign = "-" if part.figure.sign == "+" else "+"
            return {place: part._replace(figure=part.figure._replace(number=-part.figure.number, sign=sign))}
    return {}


def _decimal_place(parts: Sequence[Part], scene: Scene) -> Planted:
    for place, part in _numbers(parts, scene):
        figure, way = part.figure, scene.chance.choice((-1, 1))
        moved = figure._replace(number=figure.number.scaleb(way), places=max(0, figure.places - way))
        if _is_false(part, moved, scene):
            return {place: part._replace(figure=moved)}
    return {}


def _from(source: Known | None) -> Planter:
    def planted(parts: Sequence[Part], scene: Scene) -> Planted:
        for place, part in _numbers(parts, scene):
            try:
                value = source.value(part.citation) if source else ""
            except CitationError:
                continue
            if isinstance(value, str) or part.citation.startswith("answer"):
                continue
            figure = restated(part.slot, part.citation, value, part.figure.places, scene.manner)
            if figure.number and _is_false(part, figure, scene):
                return {place: part._replace(figure=figure)}
        return {}

    return planted


def _stale(parts: Sequence[Part], scene: Scene) -> Planted:
    return _from(scene.earlier)(parts, scene)


def _other_symbol(parts: Sequence[Part], scene: Scene) -> Planted:
    return _from(scene.other)(parts, scene)


def _wrong_path(parts: Sequence[Part], scene: Scene) -> Planted:
    place, part = _candidates(parts, scene)[0]
    path = scene.chance.choice(_PATH.findall(part.citation))
    names = [name for name in UNKNOWN.get(path, ()) if name.split(".")[0].split("[")[0] in scene.known.roots]
    other = scene.chance.choice(names or [path.removesuffix('"]') + ('_now"]' if path.endswith('"]') else "_now")])
    return {place: part._replace(citation=part.citation.replace(path, other, 1))}


def _launder_literal(parts: Sequence[Part], scene: Scene) -> Planted:
    """A false number, and a citation with a literal that makes it come out."""
    for place, part in _numbers(parts, scene):
        path = _PATH.findall(part.citation)[0]
        figure, value = _other_digit(part, scene), scene.known.value(path)
        if figure is None or isinstance(value, str) or not _is_false(part, figure, scene, path):
            continue
        factor = scale_of(part.slot, part.citation)[1] if figure.unit else 1
        wanted = abs(figure.number).copy_sign(-1 if figure.sign == "-" else 1) / factor
        forms = [f"{path} * 0 {_term(wanted)}", f"{path} - {path} {_term(wanted)}", f"{path} {_term(wanted - value)}"]
        forms = [form for form in forms if form.rpartition(" ")[2] not in ("1", "2", "100")]
        if forms:
            return {place: part._replace(figure=figure, citation=scene.chance.choice(forms))}
    return {}


def _term(number: Decimal) -> str:
    return f"{'-' if number < 0 else '+'} {abs(number).normalize():f}"


def _launder_no_path(parts: Sequence[Part], scene: Scene) -> Planted:
    """A false number and a sum in brackets that no fact stands in."""
    for place, part in _numbers(parts, scene):
        if (figure := _other_digit(part, scene)) is not None:
            number = f"{abs(figure.number):f}"
            return {place: part._replace(figure=figure, citation=scene.chance.choice((number, f"{number} * 2 / 2")))}
    return {}


def _arithmetic(tails: Callable[[Scene], Sequence[str]]) -> Planter:
    """A true number, and a citation that does not compute."""

    def planted(parts: Sequence[Part], scene: Scene) -> Planted:
        for place, part in _numbers(parts, scene):
            inner = f"({part.citation})" if " " in part.citation else part.citation
            for tail in scene.chance.sample(tails(scene), len(tails(scene))):
                citation = tail.format(inner)
                try:
                    scene.known.value(citation)
                except CitationError:
                    return {place: part._replace(citation=citation)}
        return {}

    return planted


def _text_tails(scene: Scene) -> Sequence[str]:
    texts = [text for text in TEXTS if _is_text(text, scene)]
    return [form.format(text) for text in texts for form in ("{{}} * {}", "{{}} / {}", "{{}} + abs({})")]


def _is_text(path: str, scene: Scene) -> bool:
    try:
        return isinstance(scene.known.value(path), str)
    except CitationError:
        return False


def _zero_tails(scene: Scene) -> Sequence[str]:
    breadth = (scene.known.roots["market"] or {}).get("market_breadth") or {}
    zeros = [f"{{}} / market.market_breadth.{name}" for name, count in breadth.items() if count == 0]
    return [*zeros, "{} / (price.price.last - price.price.last)", "{} / (1 - 1)"]


def _null_value(parts: Sequence[Part], scene: Scene) -> Planted:
    nulls = [path for path in NULLS if _is_null(path, scene)]
    place, part = _candidates(parts, scene)[0]
    return {place: part._replace(citation=scene.chance.choice(nulls))} if nulls else {}


def _is_null(path: str, scene: Scene) -> bool:
    section, _, name = path.rpartition(".")
    return (scene.known.roots[section] or {}).get(name, "") is None


FAULTS: dict[str, Planter] = {
    "changed": _changed, "swapped": _swapped, "sign": _sign, "decimal_place": _decimal_place, "stale": _stale,
    "other_symbol": _other_symbol, "wrong_path": _wrong_path, "launder_literal": _launder_literal,
    "launder_no_path": _launder_no_path, "text_in_arithmetic": _arithmetic(_text_tails),
    "division_by_zero": _arithmetic(_zero_tails), "null": _null_value,
}  # fmt: skip
"""Every kind of fault and what plants it."""
