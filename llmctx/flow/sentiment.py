"""How a headline reads, from -1 to 1: VADER with the words of markets; None where no word of it is known.

VADER was made for social media: it takes "shares" for kindness, "gross" for disgust and knows neither "plunge" nor
"beats". The table below is ours (ADR 78 has what it is worth). A headline in another language, or without any known
word, has no score: 0 would say that it was read and found neutral.
"""

import re
from decimal import Decimal
from functools import cache
from typing import Any

_SCORE_STEP = Decimal("0.0001")
_STRONG, _CLEAR, _MILD = 2.8, 2.0, 1.2
_RISES, _FALLS = "rises", "falls"
_WORDS = {
    _STRONG: (
        "soar soars soared soaring skyrocket skyrockets skyrocketed surge surges surged surging blowout breakthrough"
    ),
    _CLEAR: (
        "beat beats beating rally rallies rallied rallying jump jumps jumped rebound rebounds rebounded outperform "
        "outperforms outperformed upgrade upgrades upgraded bullish record approved approval approves tops topped "
        "raises raised overweight tailwind tailwinds doubles doubled triples tripled grew grow grows growing growth "
        "increase increases increased increasing"
    ),
    _MILD: (
        "rise rises rose rising climbs climbed buyback buybacks dividend wins won expands expansion higher upbeat "
        "gains up buy bull bulls"
    ),
    -_MILD: (
        "fall falls fell falling lower lowers lowered slips slipped dips dipped eases delay delays delayed probe "
        "probes recall recalls down below sell bear bears"
    ),
    -_CLEAR: (
        "cut cuts cutting slash slashed slashes miss misses missed drop drops dropped slump slumps slumped "
        "tumble tumbles tumbled sink sinks sank slide slides slid downgrade downgrades downgraded bearish underperform "
        "layoff layoffs lay-off lay-offs lawsuit lawsuits sued halted halts default defaults warns warning writedown "
        "impairment investigation decrease decreases decreased decreasing decline declines declined declining shrinks "
        "shrank underweight headwind headwinds selloff sell-off"
    ),
    -_STRONG: (
        "plunge plunges plunged plunging plummet plummets plummeted crash crashes crashed collapse collapses collapsed "
        "bankruptcy bankrupt insolvency insolvent delisted delisting delist delists fraud rout"
    ),
    0.0: (  # VADER's feelings about these say nothing about a market
        "share shares shared sharing gross crude vice trust killer cancer interest interests interested security "
        "securities united energy natural gas well like fine capital novel shell wells tesla solution "
        "solutions super play profit profits no war die"
    ),
}
_ENGLISH = (
    "a an the of to in and for on with at by from as is are was be has have had will would its it after before "
    "over amid says said than more not this that their his her who why how what when into up down"
)
_OTHER_LANGUAGES = (
    "der das dem den des und ist nicht ein eine einen einem einer im zum zur mit für auf wird werden nach bei aus "
    "sich auch wie wegen gegen les et est une un dans pour sur avec aux qui que par sa ses ce cette plus après "
    "los las y una por con para su al más tras sin il lo gli per della nel sono alla dopo um uma com não seus "
    "sobre het een voor naar wordt niet och att det som på av til för med ikke er w z na się nie oraz przez ve "
    "bir için ile"
)
"""Words that most sentences of a language contain; none is English or part of a name, as de or van are."""
_LEVEL = r"(all-time|record|multi-year|[0-9]+-(week|month|year)|year|session)[ -]"
_PHRASES = tuple(
    (re.compile(phrase, re.IGNORECASE), word)
    for phrase, word in (
        (r"\b(fail(s|ed|ing)? to|unable to)\b", "does not"),
        (r"\b(avoid|avert|dodge|escape)(s|ed|ing)?\b", "no"),
        (r"\b(loss|losses|deficit) (narrow|shrink|shrank|ease)\w*", "improves"),
        (r"\b(pare|trim|narrow|erase|recoup)\w* (\w+ )?(loss|losses|deficit)\b", "improves"),
        (r"\bcut(s|ting)? (costs|debt)\b", "improves"),
        (rf"\b{_LEVEL}highs?\b", "record"),
        (rf"\b{_LEVEL}lows?\b", "slump"),
        (r"\bhalve[sd]?\b", "cuts"),
    )
)
"""Phrases that reverse the words in them -> replacements that are in the table or known to VADER."""
_WORD = re.compile(r"[^\W\d_]+")
_MOVE = re.compile(r"(?<![\w.])([+-])\d[\d.,]*\s?%")


_IS_ENGLISH = dict.fromkeys(_ENGLISH.split(), 1) | dict.fromkeys(_OTHER_LANGUAGES.split(), -1)


def score_of(headline: str) -> Decimal | None:
    """The sentiment of a headline from -1 to 1, four decimals; None if it is not English, or no word of it is known."""
    if sum(_IS_ENGLISH.get(word.casefold(), 0) for word in _WORD.findall(headline)) < 0:
        return None
    text = _MOVE.sub(lambda move: f" {_RISES if move[1] == '+' else _FALLS} ", headline)  # VADER ignores +3.5%
    for phrase, word in _PHRASES:
        text = phrase.sub(word, text)
    found: dict[str, float] = _analyzer().polarity_scores(text)
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
