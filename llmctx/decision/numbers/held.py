"""How long a position has been held, as a text tells it: a span of time that is a claim, where others are horizons."""

import re

_BEFORE = re.compile(
    r"""
    (?: \b(?:time[ ])?(?:used|elapsed)\b | \b(?:in|on)[ ](?:trade|position|the[ ]clock)\b | \bopened\b | \bin[ ]for\b
      | \b(?:time|minutes|hours|duration|age)[ ](?:in|of|since)[ ](?:the[ ]|this[ ]|our[ ])?(?:trade|position|entry)\b
      | \bin[ ](?:the[ ]|this[ ]|our[ ])?(?:trade|position|it|this|here)[ ](?:now[ ])?for\b
      | \b(?:been|was|is|were|are|stayed|sat)[ ](?:\w+[ ])?(?:on|held|open|running|alive|live|in|holding|active)
        (?:[ ](?:in[ ])?(?:it|this|the|here|trade|position))*[ ](?:now[ ])?for\b
      | \b(?:have|we've|i've|had)[ ](?:been[ ])?held[ ](?:\w+[ ]){0,3}for\b | \bbeen[ ](?:\w+[ ]){0,4}for\b
      | \bheld(?:[ ]for)?\b | \bage\b | \bopen[ ](?:since|for)\b
      | \b(?:holding|trade|position)[ ](?:time|period|duration|age)\b | \btime[ _]?in[ _]?(?:trade|position)\b
    )
    [ ]?(?:now|is|of|at|so[ ]far|about|around|roughly|only|just|already|nearly|almost|[:=~(|]|[ ])*\Z
    """,
    re.VERBOSE | re.IGNORECASE,
)
"""What stands before the time that a position has been held."""
_AFTER = re.compile(
    r"[ ]*(?:in[ ](?:the[ ]|this[ ])?(?:trade|position)|into[ ](?:the|this)[ ](?:trade|position)|on[ ]the[ ]clock"
    r"|(?:since|after)[ ](?:the[ ]|our[ ]|my[ ])?(?:entry|entering|opening)|(?:in|into[ ]it|in[ ]now)(?=[,.;)]|$))",
    re.IGNORECASE,
)
_SPAN = re.compile(r"(?P<many>\d+(?:\.\d+)?)[- ]?(?:minutes?|mins?|hours?|hrs?|h)\Z", re.IGNORECASE)
_REACH = 60


_AHEAD = re.compile(
    r"\b(?:next|within|every|another|last|past|previous|for[ ]the|in|valid[ ]for|usual|typical|than|least|most|over)"
    r"(?:[ ]the)?[ ]*\Z",
    re.IGNORECASE,
)
"""What makes it a horizon or a window."""
_ENTERED = re.compile(
    r"\b(?:entered|opened|bought|put[ ]on|got[ ]in|went[ ](?:long|short)|trade|position|we)\b", re.IGNORECASE
)
_DECIDED = re.compile(r"\b(?:decision|decided)\b", re.IGNORECASE)
"""What was so long ago, besides the entry."""
_AGO = re.compile(r"[ ]*(?:ago|old|earlier|prior|before)\b", re.IGNORECASE)
_SINCE = re.compile(r"\bafter[ ](?:only[ ]|just[ ]|about[ ]|some[ ])?\Z", re.IGNORECASE)
_PLANNED = re.compile(
    r"\b(?:if|will|would|should|could|look|review|again|reassess|check|close|exit|next|every|until|unless|rule|stop|i'd|i'll)\b",
    re.IGNORECASE,
)
"""After so many minutes something is planned, where else it has been so long."""
_ROUND = frozenset({1, 2, 3, 4, 5, 6, 8, 12, 24})


def is_measured(text: str, start: int, end: int) -> bool:
    """Whether it is a span that was measured: horizons and windows are round numbers of minutes or hours."""
    span = _SPAN.fullmatch(text, start, end)
    if span is None or "-" in span[0] or _AHEAD.search(text[max(0, start - _REACH) : start]):
        return False
    value = float(span["many"])
    return value % 5 != 0 and value % 0.5 != 0 if "." in span["many"] else value % 5 != 0 and value not in _ROUND


def is_aged(text: str, start: int) -> bool:
    """Whether what stands before it is how the time is told that a position has been held: position age 1634m."""
    return bool(_BEFORE.search(text[max(0, start - _REACH) : start]))


def is_held(text: str, start: int, end: int) -> bool:
    """Whether what stands there is the time that the position has been held."""
    if not _SPAN.fullmatch(text, start, end):
        return False
    before = text[max(0, start - _REACH) : start]
    if _SINCE.search(before) and not _PLANNED.search(before):
        return True
    if _AGO.match(text, end) and (_ENTERED.search(before) or _DECIDED.search(before)):
        return True
    return bool(_BEFORE.search(before) or _AFTER.match(text, end))
