"""Topics: what a fact is about, and what a word of a text names.

A path tells its own topics (`indicators.rsi_14` is about rsi); a table adds the words that are no part of a path.
Fields that the schema does not know get the words of their own name, so that a text can call them by it.
"""

import re
from functools import lru_cache

from llmctx.decision.numbers.names import CALLED, OWN, PAIRS

_PARTS = re.compile(r"[A-Za-z]+[0-9]*[a-z]?|[0-9]+")
_SECTIONS = {
    "candidates": ("candidate",),
    "thesis": ("thesis",),
    "signals.entry": ("entry", "signal"),
    "signals.exit": ("exit", "signal"),
}

_NO_NAMES = frozenset("as of at in is to the last type time timestamp value kind not shown".split())
"""Parts of paths that say nothing of what a fact is about."""
FOREIGN = frozenset(
    "atr adx vwap obv cci mfi stochastic stoch ema sma beta sharpe gamma theta vega iv eps pe p/e revenue "
    "earnings momentum-score put/call spx spy qqq ndx iwm dia dax ftse nasdaq dow russell s&p nikkei btc eth consumer "
    "utilities industrials materials staples discretionary telecom semiconductors semis".split()
)
"""What models like to speak of and the schema has no field for: nothing supports it but a field of that name."""
AVERAGES = frozenset({"ema", "sma", "vwap"})
"""Of those the ones that are levels of the price."""
SECTORS = frozenset({"technology", "energy", "financials", "healthcare"})
"""Parts of the market that have a percentage of their own."""
BINDING = frozenset(
    {"rsi", "macd", "signal", "last", "histogram", "vix", "sentiment", "volume", "upper", "lower", "stop", "target",
     "entry", "width", "advancing", "declining", "unchanged", "winrate"} | SECTORS | FOREIGN
)  # fmt: skip
"""Topics whose own facts alone support a number that is said of them directly."""

LEVELS = frozenset({"signal", "stop", "target", "entry", "upper", "lower", "level", "high", "low", "open", "mid"})
"""Topics that are price levels beside the price itself."""


@lru_cache(maxsize=10_000)
def topics_of(path: str) -> frozenset[str]:
    """What the fact at a path is about."""
    section, _, _ = path.partition(".")
    found: set[str] = set()
    for start, topics in _SECTIONS.items():
        if path.startswith(start):
            found.update(topics)
    for part in re.split(r"[.\[\]]+", path.removeprefix(section)):
        if part in OWN:
            found.update(OWN[part])
        elif part and not part.isdigit():
            words = [re.sub(r"\d+\w?$", "", word.lower()) for word in _PARTS.findall(part)]
            found.update(CALLED.get(word, word) for word in words if word and word not in _NO_NAMES)
    return frozenset(found)


def topic_of(word: str, before: str, vocabulary: frozenset[str]) -> str | None:
    """The topic that a word of a text names, after the word before it; None where it names none."""
    pair = PAIRS.get((before, word))
    if pair is not None:
        return pair
    found = CALLED.get(word)
    if found is not None:
        return found
    if word in FOREIGN or word in vocabulary:
        return word
    single = word[:-1]
    return single if word.endswith("s") and single in vocabulary else None
