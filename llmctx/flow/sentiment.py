"""How a headline reads, from -1 to 1: VADER with the words of markets; None where no word of it is known.

VADER was made for social media: it takes "shares" for kindness, "gross" for disgust and knows neither "plunge" nor
"beats". The table below is ours. A headline in another language, or without any known word, has no score: 0 would say
that it was read and found neutral.
"""

from decimal import Decimal
from functools import cache
from typing import Any

_SCORE_STEP = Decimal("0.0001")
_STRONG, _CLEAR, _MILD = 2.8, 2.0, 1.2
_WORDS = {
    _STRONG: (
        "soar soars soared soaring skyrocket skyrockets skyrocketed surge surges surged surging blowout breakthrough"
    ),
    _CLEAR: (
        "beat beats beating rally rallies rallied rallying jump jumps jumped rebound rebounds rebounded outperform "
        "outperforms outperformed upgrade upgrades upgraded bullish record approved approval approves tops topped "
        "raises raised"
    ),
    _MILD: "rise rises rose rising climbs climbed buyback buybacks dividend wins won expands higher upbeat gains",
    -_MILD: (
        "fall falls fell falling lower slips slipped dips dipped eases delay delays delayed probe probes recall recalls"
    ),
    -_CLEAR: (
        "cut cuts cutting slash slashed slashes miss misses missed drop drops dropped slump slumps slumped "
        "tumble tumbles tumbled sink sinks sank slide slides slid downgrade downgrades downgraded bearish underperform "
        "layoff layoffs lawsuit lawsuits sued halted halts default defaults warns warning writedown "
        "impairment investigation"
    ),
    -_STRONG: (
        "plunge plunges plunged plunging plummet plummets plummeted crash crashes crashed collapse collapses collapsed "
        "bankruptcy bankrupt insolvency insolvent delisted delisting delist fraud rout"
    ),
    0.0: (  # what VADER feels about these says nothing about a market
        "share shares shared sharing gross crude vice trust killer cancer interest interests interested security "
        "securities united energy natural gas well like fine capital novel shell wells tesla solution "
        "solutions super play"
    ),
}


def score_of(headline: str) -> Decimal | None:
    """The sentiment of a headline from -1 to 1, four decimals; None if none of its words is known."""
    found: dict[str, float] = _analyzer().polarity_scores(headline)
    if not (found["pos"] or found["neg"]):
        return None
    return Decimal(str(found["compound"])).quantize(_SCORE_STEP)


@cache
def _analyzer() -> Any:
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer  # noqa: PLC0415  slow; only news needs it

    analyzer = SentimentIntensityAnalyzer()
    for weight, words in _WORDS.items():
        for word in words.split():
            if weight:
                analyzer.lexicon[word] = weight
            else:
                analyzer.lexicon.pop(word, None)
    return analyzer
