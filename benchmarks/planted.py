"""Numbers as they are written, and false ones in their place: as far off as models are, or with the sign turned."""

import random

_COUNTS = frozenset(
    {
        "news", "wins", "losses", "trades", "adv", "dec", "poscount", "qty", "half", "rest", "watch", "mins", "rank",
        "ranked", "unch", "prevmins", "prevvalid", "sigago", "headpct", "headmn",
    }
)  # fmt: skip
PRICES = frozenset(
    {
        "last", "entry", "stop", "target", "open", "high", "low", "up", "lo", "level", "sigprice", "cand_price",
        "mid_st", "mid_el", "mid_hl", "lvl_1r", "bbmid", "exitprice", "other_price", "ema20", "ema50", "vwap", "mid_lt",
        "prevprice",
    }
)  # fmt: skip
_SHARES = frozenset({"sent", "sigconf", "cand_score", "winrate", "exitconf", "prevconf", "other_score", "myscore"})
_MANY = 1000
"""Counts from here on are made up as a share of themselves, not as some more or fewer."""
_SIGNED = frozenset(
    {
        "pnl", "pnlpct", "daily", "dailypct", "macd", "sig", "hist", "macd5m", "sigmacd", "sent", "tech", "energy",
        "fin", "health", "consumer", "s_open", "expectancy", "netadv",
    }
)  # fmt: skip
"""Whose sign says something by itself."""
FLIPPED = 0.4
"""How often a signed number that is to be false gets its sign turned instead."""


def fitted(spec: str, last: float) -> str:
    """A spec that ends in p (price) or m (MACD) with the places that fit the price's size."""
    if spec[-1:] not in ("p", "m"):
        return spec
    price, macd = (5, 5) if last < 1 else (2, 3) if last < 1000 else (2, 2) if last < 10_000 else (0, 1)
    places = price if spec[-1] == "p" else macd
    return f"{spec[:-1]},.{places}f"


def may_turn(name: str, shown: str) -> bool:
    """Whether a number says its sign, and is not zero as it is written."""
    return name in _SIGNED and shown[0] in "+-" and float(shown.replace(",", "")) != 0


def made_up(name: str, value: float, spec: str, shown: str, chance: random.Random) -> str:
    """Another number than the one shown, as far off as models are when they make one up."""
    for _ in range(100):
        step = 10.0 ** -int(spec[-2])
        text = format(_other(name, value, chance) + chance.choice((-3, 3)) * step, spec)
        other = float(text.replace(",", ""))
        if other and other * value >= 0 and text != shown and abs(other - value) > 1.6 * step:
            return text
    raise AssertionError(f"no false number for {name} {value} {spec}")


def _other(name: str, value: float, chance: random.Random) -> float:
    way = chance.choice((-1, 1))
    if name.startswith(("rsi", "sigrsi")):
        return min(99.0, max(1.0, value + way * chance.uniform(4, 25)))
    if name in _COUNTS and value >= _MANY and name != "mins":
        return value * (1 + way * chance.uniform(0.03, 0.3))
    if name in _COUNTS:
        return max(0.0, value + way * chance.randint(2, 9))
    if name in PRICES:
        return value * (1 + way * chance.uniform(0.006, 0.08))
    if name in _SHARES:
        return value + way * chance.uniform(0.08, 0.3)
    return value * chance.choice((chance.uniform(0.3, 0.75), chance.uniform(1.3, 2.8)))
