"""The shape of a package: what its paths say, the same from tick to tick, so it is worked out once."""

from typing import NamedTuple

from llmctx.context.facts import Fact
from llmctx.decision.numbers.topics import AVERAGES, topics_of

ANOTHER = "another symbol"
"""The topic of numbers about other symbols."""
_RANKING = "candidates["
_KEPT = 1_000
_ALWAYS = frozenset({"quantity", "confidence", "stop", "target", "mid", "band", "sma", "average"})
"""Topics of what the decision proposes, and of the middle of the bands."""


class Shape(NamedTuple):
    """What the paths of a package say."""

    places: dict[str, int]
    """Where the fact of a path stands."""
    topics: tuple[frozenset[str], ...]
    """What each fact is about."""
    by_topic: dict[str, tuple[int, ...]]
    """Where the facts about a topic stand."""
    priced: tuple[int, ...]
    """Where the prices of this symbol stand."""
    vocabulary: frozenset[str]
    """Every topic."""


_shapes: dict[tuple[tuple[str, ...], tuple[tuple[str, str], ...]], Shape] = {}


def shape_of(facts: list[Fact], others: tuple[tuple[str, str], ...]) -> Shape:
    """`others` are the other symbols of the ranking, each with where it stands: their numbers support only what names
    them, or the ranking.
    """
    paths = tuple([fact[0] for fact in facts])
    shape = _shapes.get((paths, others))
    if shape is None:
        if len(_shapes) >= _KEPT:
            _shapes.clear()
        shape = _shapes[paths, others] = _shape_of(paths, [fact.unit for fact in facts], others)
    return shape


def _shape_of(paths: tuple[str, ...], units: list[str | None], others: tuple[tuple[str, str], ...]) -> Shape:
    beside = dict(others)
    topics = []
    for path in paths:
        found = topics_of(path)
        if path.startswith(_RANKING) and (other := beside.get(path[: path.index("]") + 2])) is not None:
            found |= {other, ANOTHER}
        topics.append(found)
    by_topic: dict[str, tuple[int, ...]] = {}
    for place, found in enumerate(topics):
        for topic in found:
            by_topic[topic] = (*by_topic.get(topic, ()), place)
    priced = [
        place
        for place, (path, unit) in enumerate(zip(paths, units, strict=True))
        if (unit == "price" and not path.startswith(_RANKING))
        or (unit is None and not AVERAGES.isdisjoint(topics[place]))
    ]
    places = {path: place for place, path in enumerate(paths)}
    return Shape(places, tuple(topics), by_topic, tuple(priced), _ALWAYS.union(*topics))
