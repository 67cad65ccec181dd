"""What is no claim: dates and times, horizons, list ordinals, periods of indicators, names with digits."""

import re

from llmctx.decision.numbers.held import is_held, is_measured

_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|"
    r"nov(?:ember)?|dec(?:ember)?)\.?(?![a-z])"
)
_SPAN = (
    "(?:period|day|bar|week|month|minute|min|hour|hr|second|sec|year|candle|session|quarter|tick|ms"
    "|(?<=[0-9])(?:m(?=[ ](?:bars?|charts?|candles?|rsi|macd|timeframe))|[hd]))s?"
)
_TERM = r"(?:RSI|EMA|SMA|WMA|MAs?|MACD|ATR|ADX|CCI|MFI|VWAP|BBs?|Bollinger(?:[ ]bands?)?|Stoch\w*|DMA)"
NUMBERED = "level rule step phase tier point option scenario record section item factor reason condition".split()
"""Words after which a number is a name."""
_NO_CLAIM = re.compile(
    rf"""
    (?<![A-Za-z0-9.,])(?=\d)(?:
      \d{{4}}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?)?(?:Z|[+-]\d\d:?\d\d)?       # dates, with or without a time
    | \d{{1,2}}(?P<sep>[./])\d{{1,2}}(?P=sep)\d{{2,4}}\b(?![./]\d)
    | \d{{1,2}}:\d\d(?::\d\d)?(?:\.\d+)?(?:[ ]?[ap]\.?m\b\.?|Z)? | \d{{1,2}}[ ]?[ap]\.?m\b\.?  # times
    | \d{{1,2}}(?:st|nd|rd|th)?[ ]{_MONTH}\b(?:[ ]\d{{4}})?
    | \d+(?:\.\d+)?[- ]?(?:sigma|\u03c3|standard[ ]deviations?|std|sd)\b
    | \d+(?:\.\d+)?(?:\s?(?:-|\u2013|to|or|and)\s?\d+)?[- ]?(?:more[ ]|further[ ])?{_SPAN}\b  # horizons, periods
    | \d{{1,3}}[- ](?:EMA|SMA|WMA|DMA|MA|RSI|ATR)\b
    | \d{{1,3}}(?:[/,]\d{{1,3}}){{1,2}}[- ](?:MACD|EMA|SMA|MA)s?\b                         # 12/26 MACD
    | \d+(?:st|nd|rd|th)\b | (?:1|3|5|10|15|30|60)m\b(?![ ]shares)
    | 24/7\b | (?:\d|1[0-2])[ ](?:out[ ])?of[ ](?:the[ ])?(?:(?:last|past)[ ])?(?:\d|1[0-2])\b | 50[/-]50\b
    | (?:10|8|13|6|20)-[KQFD]\b
    )
    | (?<![A-Za-z0-9])(?=[A-Za-z][^\d]{{0,22}}\d|http)(?:
      {_MONTH}[ ]\d{{1,2}}(?:st|nd|rd|th)?\b(?!\.\d)(?:,?[ ]\d{{4}})?
    | (?:on|by|since|until|after|before)[ ]\d{{1,2}}/\d{{1,2}}\b(?![/.]\d)
    | {_TERM}[ ]?[-_(]?[ ]?\d{{1,3}}(?:[ ]?[,/][ ]?\d+(?:\.\d+)?)+[ ]?\)?                  # MACD (12, 26, 9)
    | RSI[ ]?[-_(]?[ ]?14\b(?!\.\d)\)?
    | (?:RSI|MACD)[ -]?\(?\s*\d{{1,3}}[- ]?(?:{_SPAN}|m|min)\b\)?
    | (?:EMA|SMA|WMA|MA|ATR|ADX|CCI|MFI|BB|DMA)s?[ ]?[-_(]?[ ]?\d{{1,3}}\b(?!\.\d|%)\)?
    | Bollinger(?:[ ]bands?)?[ ]?\(\d+\)
    | (?:S&P|Nasdaq|Russell|Dow|FTSE|Stoxx|Nikkei|DAX|CAC|SPX|NDX)[- ]?\d{{2,4}}\b
    | (?:Q|H|FY|COVID-|v|R|S|T\+)\d{{1,4}}\b(?!\.\d|%)
    | (?!record[ ]\d{{1,3}}[-\u2013/:]\d)(?:{"|".join(NUMBERED)})
      [ ]\#?\d{{1,4}}\b(?!\.\d|%|,\d)
    | https?://\S+
    )
    | (?=[\n(\#\[;:,.])(?:
      \n[ \t>*_\#-]*\(?\d{{1,2}}[.):](?=[ *_])
    | [;:,.][ ]\(?\d{{1,2}}\)(?=[ ]) | \(\d\)(?=[ ]\w) | \#\d+ | \[\d+\]
    | [(;,][ ]?(?!1:)\d{{1,3}}(?=:[ ][$\u20ac\u00a3]?\d)                                   # (20: 64.22; 50: 64.55)
    )
    | \A[ \t>*_\#-]*\(?\d{{1,2}}[.):](?=[ *_])                                                # ordinals
    """,
    re.VERBOSE | re.IGNORECASE,
)

HINTS = frozenset(
    "january february march april may june july august september october november december jan feb mar apr jun jul "
    "aug sep sept oct nov dec period periods day days bar bars week weeks month months minute minutes min mins hour "
    "hours hr hrs second seconds sec secs year years candle candles session sessions quarter quarters tick ticks "
    "rsi ema sma wma ma mas macd atr adx cci mfi vwap bb bbs bollinger stoch stochastic dma sigma standard std sd "
    "nasdaq russell dow ftse stoxx nikkei dax cac spx ndx fy covid http https".split()
)
"""Words of which one stands beside whatever is no claim, where no mark does."""
_NO_WORD = re.compile(r"[^A-Za-z\s]|(?<![A-Za-z])(?:min|m|hr|h|d|st|nd|rd|th|am|pm|Z)(?![A-Za-z])")

_COUNTS = re.compile(r"half|shares|trades|loss|winn|won|breadth|adv|declin|stocks|names|symbols", re.IGNORECASE)
_TWO = re.compile(r"\d+(?:[ ](?:out[ ])?of[ ](?:the[ ])?|:)\d+")
_REACH = 30


def without_no_claims(text: str) -> str:
    """The text, as long as it was, with spaces for what is no claim; its words stay, for they say what it is about."""
    return _NO_CLAIM.sub(_blank, text)


def _blank(found: re.Match[str]) -> str:
    """Spaces for it, unless it is the time that the position has been held."""
    if _COUNTS.search(found.string, max(0, found.start() - _REACH), found.end() + _REACH) and _TWO.fullmatch(found[0]):
        return found[0]
    if (
        "dec" in (found[0][:3].lower(), found[0][-3:].lower())
        and "adv" in found.string[max(0, found.start() - _REACH) : found.start()].lower()
    ):
        return found[0]
    if is_held(found.string, *found.span()) or is_measured(found.string, *found.span()):
        return found[0]
    return _NO_WORD.sub(_spaces, found[0])


def _spaces(found: re.Match[str]) -> str:
    return " " * len(found[0])
