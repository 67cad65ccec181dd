"""Topics: what a fact is about, and by which words people and models call it.

A path tells its own topics (`indicators.rsi_14` is about rsi); a table adds the words that are no part of a path.
Fields that the schema does not know get the words of their own name, so that a text can call them by it.
"""

import re
from functools import lru_cache

_PARTS = re.compile(r"[A-Za-z]+[0-9]*[a-z]?|[0-9]+")
OWN: dict[str, tuple[str, ...]] = {
    "last": ("last",),
    "current_price": ("last",),
    "open": ("open",),
    "high": ("high",),
    "low": ("low",),
    "volume": ("volume",),
    "macd_signal": ("macd", "signal"),
    "bollinger_upper": ("upper", "band"),
    "bollinger_lower": ("lower", "band"),
    "bollinger_width": ("width", "band"),
    "sentiment_score": ("sentiment", "score", "news"),
    "news_count": ("news",),
    "entry_price": ("entry",),
    "quantity": ("quantity",),
    "unrealized_pnl": ("pnl",),
    "unrealized_pnl_pct": ("pnl",),
    "stop_loss": ("stop",),
    "take_profit": ("target",),
    "profit_target": ("target",),
    "next_level": ("level",),
    "active_positions_count": ("positions",),
    "watchlist_count": ("symbols",),
    "daily_pnl": ("daily", "pnl"),
    "daily_pnl_pct": ("daily", "pnl"),
    "win_count": ("wins",),
    "loss_count": ("losses",),
    "win_rate": ("winrate", "wins", "losses"),
    "avg_win": ("wins",),
    "avg_loss": ("losses", "pnl"),
    "largest_win": ("wins",),
    "largest_loss": ("losses", "pnl"),
    "confidence": ("confidence",),
    "score": ("score",),
    "valid_for": ("minutes",),
    "value": (),
    "distance": (),
    "price": (),
    "indicators": (),
}
_SECTIONS = {"candidates": ("candidate",), "thesis": ("thesis",), "signals.entry": ("entry", "signal")}

CALLED: dict[str, str] = {
    word: topic
    for topic, words in {
        "last": "here now last price prices trading trades traded current quote quoted close closes closed mark spot "
        "tape",
        "open": "open opening opened",
        "high": "high highs peak top pullback retreat retracement retraced",
        "low": "low lows trough bottom dip bounce bounced rebound rebounded",
        "entry": "entry entries entered bought basis breakeven break-even even paid average-price",
        "stop": "stop stops stop-loss stoploss sl downside cushion buffer",
        "risk": "risk risks risking risked initially initial originally planned lose loses cost costs",
        "target": "target targets tp take-profit objective upside goal tp1",
        "reward": "reward rewards make makes earn earns won",
        "upper": "upper",
        "lower": "lower",
        "band": "band bands bollinger bb",
        "width": "width bandwidth wide",
        "rsi": "rsi strength",
        "macd": "macd convergence",
        "histogram": "histogram hist",
        "signal": "signal",
        "vix": "vix volatility",
        "volume": "volume turnover",
        "sentiment": "sentiment",
        "confidence": "confidence conviction confident certainty",
        "score": "score scores scored ranked ranking rank",
        "pnl": "pnl p&l p/l profit profits gain gains gained loss unrealized unrealised return up down underwater "
        "drawdown ahead winning losing red green profitable",
        "level": "support resistance level ceiling floor barrier",
        "news": "news headline headlines articles article stories story",
        "quantity": "shares share quantity size units unit lot holding stock stocks contracts position",
        "positions": "positions",
        "symbols": "symbols names tickers watchlist",
        "wins": "wins winners winner winning-trades win",
        "losses": "losses losers loser",
        "trades": "trades",
        "winrate": "win-rate winrate hit-rate",
        "daily": "daily today today's day's day",
        "advancing": "advancing advancers advances advance advanced gainers",
        "declining": "declining decliners declines decline declined",
        "unchanged": "unchanged",
        "breadth": "breadth",
        "technology": "tech technology",
        "financials": "financials financial",
        "healthcare": "healthcare health",
        "ratio": "ratio reward-to-risk risk-reward risk/reward reward/risk risk-to-reward r:r r/r rr multiple",
        "range": "range",
        "mid": "mid midpoint midline middle centre center halfway basis-line",
        "way": "way distance path journey",
        "negative": "negative minus",
        "worth": "notional worth exposure",
    }.items()
    for word in words.split()
}
"""A word of a text -> the topic it names."""
PAIRS = {
    ("stop", "loss"): "stop", ("take", "profit"): "target", ("profit", "target"): "target",
    ("price", "target"): "target", ("win", "rate"): "winrate", ("hit", "rate"): "winrate",
    ("signal", "line"): "signal", ("signal", "price"): "signal", ("cost", "basis"): "entry",
    ("daily", "pnl"): "daily", ("daily", "p&l"): "daily", ("entry", "price"): "entry", ("stop", "price"): "stop",
    ("stop", "level"): "stop", ("target", "level"): "target", ("position", "size"): "quantity",
    ("upper", "band"): "upper", ("lower", "band"): "lower", ("upper", "bollinger"): "upper",
    ("lower", "bollinger"): "lower", ("band", "width"): "width", ("losing", "trades"): "losses",
    ("winning", "trades"): "wins", ("open", "position"): "quantity", ("open", "positions"): "positions",
    ("active", "positions"): "positions", ("entry", "level"): "entry", ("average", "win"): "wins",
    ("average", "loss"): "losses", ("bollinger", "upper"): "upper", ("bollinger", "lower"): "lower",
    ("macd", "signal"): "signal", ("reward", "risk"): "ratio", ("risk", "reward"): "ratio",
    ("largest", "loss"): "losses",
    ("largest", "win"): "wins", ("open", "profit"): "pnl", ("open", "loss"): "pnl", ("open", "gain"): "pnl",
    ("open", "pnl"): "pnl", ("open", "p&l"): "pnl", ("sentiment", "score"): "sentiment", ("net", "loss"): "pnl",
}  # fmt: skip
"""Two words that together name another topic than the second alone."""
FOREIGN = frozenset(
    "atr adx vwap obv cci mfi stochastic stoch ema sma beta sharpe gamma delta theta vega iv skew eps pe p/e revenue "
    "earnings momentum-score put/call".split()
)
"""What models like to speak of and the schema has no field for: nothing supports it but a field of that name."""
BINDING = frozenset(
    {"rsi", "macd", "signal", "last", "histogram", "vix", "sentiment", "volume", "upper", "lower", "stop", "target",
     "entry", "width", "advancing", "declining", "unchanged", "winrate"} | FOREIGN
)  # fmt: skip
"""Topics whose own facts alone support a number that is said of them directly."""

LEVELS = frozenset({"stop", "target", "entry", "upper", "lower", "level", "high", "low", "open", "mid"})
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
            found.update(CALLED.get(word, word) for word in words if word)
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
