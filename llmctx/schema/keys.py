"""Every key family, declared once: pattern, model, lifetime and writer.

The command line, the JSON Schemas, the reader and the feed all use this table; the audit keys are defined in
`llmctx.trail`. `{symbol}` in a pattern is a placeholder, not a hash tag; `{0}` in a work key is a hash tag.
"""

import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from types import MappingProxyType

from pydantic import BaseModel

from llmctx.errors import SchemaError
from llmctx.schema import values
from llmctx.schema.symbol import is_symbol, market_of

EXAMPLES = Path(__file__).with_name("examples.json")
"""The examples in the schema document: key (for AAPL) to JSON text."""
DAY_S = 86_400
SIGNAL_TYPES = ("entry", "exit")
"""The signal types read by default."""
DECIDERS = "deciders"
"""The consumer group on every stream that the owner of a partition reads: ticks and effects."""


@dataclass(frozen=True)
class Family:
    """One key family of the schema document."""

    section: str
    """Its name in a package."""
    pattern: str
    """The key, with {symbol} and {signal_type} as placeholders."""
    model: type[BaseModel]
    """The model of its value."""
    lifetime_s: int | None
    """TTL set by each write, in seconds of wall time; None means it never expires and is never evicted."""
    writer: str
    """Who writes it."""
    says: str
    """Its content, in one line."""
    of_market: bool = False
    """Whether it describes the market, so that both legs of a hedged symbol share it."""

    def key(self, symbol: str = "", signal_type: str = "") -> str:
        """The key for one symbol (and signal type)."""
        symbol = market_of(symbol) if self.of_market else symbol
        pattern = self.pattern.replace("{symbol_lower}", symbol.lower())  # only mapped families have it
        return pattern.replace("{symbol}", symbol).replace("{signal_type}", signal_type)

    def parts_of(self, key: str) -> dict[str, str] | None:
        """The symbol and signal type in a key, if the family has them; None if the key is not of this family."""
        shape = re.escape(self.pattern).replace(r"\{symbol\}", "(?P<symbol>.+)")  # a symbol may hold colons
        shape = shape.replace(r"\{signal_type\}", "(?P<signal_type>[^:]+)")
        shape = shape.replace(r"\{symbol_lower\}", "(?P<symbol_lower>.+)")
        found = re.fullmatch(shape, key)
        if found is None:
            return None
        parts = found.groupdict()
        if "symbol_lower" in parts:
            parts["symbol"] = parts.pop("symbol_lower").upper()
        return parts if is_symbol(parts.get("symbol", "X")) else None


FAMILIES = (
    Family(
        "price", "stocks:price:{symbol}", values.Price, DAY_S,
        "feed or your collector", "last price and the session so far", of_market=True,
    ),
    Family(
        "indicators", "stocks:indicators:{symbol}", values.Indicators, DAY_S,
        "feed or your collector", "RSI, MACD, Bollinger bands", of_market=True,
    ),
    Family(
        "sentiment", "stocks:sentiment:{symbol}", values.Sentiment, DAY_S,
        "feed or your collector", "headlines and how they read", of_market=True,
    ),
    Family(
        "watchlist", "watchlist:current", values.Watchlist, 7 * DAY_S,
        "feed or your screener", "symbols under watch",
    ),
    Family(
        "candidates", "candidates:ranked", values.Candidates, DAY_S,
        "feed or your screener", "ranked symbols, best first",
    ),
    Family(
        "position", "positions:active:{symbol}", values.Position, None,
        "feed or your execution side", "the open position",
    ),
    Family(
        "monitoring", "positions:monitoring:{symbol}", values.Monitoring, None,
        "feed or your monitor", "short-term readings on the position",
    ),
    Family(
        "signals", "signals:{signal_type}:{symbol}", values.Signal, DAY_S,
        "feed or your screener", "an entry or exit signal", of_market=True,
    ),
    Family(
        "system", "system:state", values.System, 7 * DAY_S,
        "feed or your scheduler", "state, market status, the clock",
    ),
    Family(
        "performance", "metrics:performance", values.Performance, 7 * DAY_S,
        "feed or your book-keeping", "the day's profit and rates",
    ),
    Family(
        "market", "context:market", values.Market, DAY_S,
        "feed or your collector", "sectors, breadth, regime",
    ),
)  # fmt: skip
"""The eleven families of the schema document, in prompt order."""

BY_SECTION = {family.section: family for family in FAMILIES}


def find_family(key: str) -> Family:
    """Find the family of a key, a pattern or a section name.

    Raises SchemaError if no family matches.
    """
    for family in FAMILIES:
        if key in (family.section, family.pattern) or family.parts_of(key) is not None:
            return family
    raise SchemaError(f"No key family matches {key!r}.", "`llmctx schema` lists the families and their keys.")


def partition_of(symbol: str, partitions: int) -> int:
    """The partition of a symbol's ticks and records: CRC32 of its name, modulo the number of partitions."""
    return zlib.crc32(symbol.encode()) % partitions


@lru_cache(maxsize=4096)
def section_keys(symbol: str, signal_types: tuple[str, ...], partition: int) -> Mapping[str, str]:
    """Map every section of a symbol's package to its key, in prompt order."""
    keys: dict[str, str] = {}
    for family in FAMILIES:
        if family.section == "signals":
            keys |= {f"signals.{kind}": family.key(symbol, kind) for kind in signal_types}
        else:
            keys[family.section] = family.key(symbol)
    return MappingProxyType(keys | {"thesis": latest(partition, symbol)})


_BESIDE: dict[str, type[BaseModel]] = {
    "thesis": values.Thesis,
    "portfolio": values.Portfolio,
    "memory": values.Memory,
    "timeframes": values.Timeframes,
}
"""The models of sections that are not families of the schema document."""


@cache
def model_of(section: str) -> type[BaseModel]:
    """The model of a package's section, including signals and thesis."""
    if section in _BESIDE:
        return _BESIDE[section]
    return BY_SECTION[section.partition(".")[0]].model


MAX_BARS = 5000
"""Approximate maximum length of a bars stream."""


def bars(symbol: str) -> str:
    """The capped stream of a symbol's bars; entry ids are `<bar start in ms>-0`."""
    return f"stocks:bars:{symbol}"


def news(symbol: str) -> str:
    """The sorted set of a symbol's current headlines, by time; private to the feed."""
    return f"stocks:news:{symbol}"


SCORES = "candidates:scores"
"""The sorted set of symbols by score; `candidates:ranked` is written from it."""
SCREENED = "candidates:screened"
"""The hash with each symbol's newest entry: `<its bar's end in ms> <change of the day in %> <candidate as JSON>`."""
FILLS = "positions:fills"
"""The stream of the paper broker's fills."""
FUNDING = "positions:funding"
"""The stream of the funding that the paper broker's positions paid."""
CLOSED = "positions:closed"
"""The stream of closed positions."""
DAYS = "positions:days"
"""The stream of closed days: the paper broker's results, one entry a day."""
BOOK = "positions:book"
"""The paper broker's book: everything it must remember from one bar to the next."""
MAX_HISTORY = 100_000
"""Approximate maximum length of the fills, funding, closed positions and closed days streams."""
UPDATES = "updates:"
"""The prefix of a live key's pub/sub channel; a write publishes the new value, a deletion an empty text."""
WORKERS = "workers"
"""The sorted set of running workers, by the time of their last heartbeat."""
BUDGET = "budget:day"
"""The hash of today's used and reserved amounts of the daily budget; it does not expire, because it could be evicted.
"""


def rate_limit(endpoint: str) -> str:
    """The hash of reservations under an endpoint's rate limits: second -> requests and tokens. It expires."""
    return f"limits:llm:{endpoint}"


def ticks(partition: int | str) -> str:
    """The stream of ticks to decide."""
    return f"ticks:{{{partition}}}"


def ticks_made(partition: int | str) -> str:
    """The key under which that stream is rebuilt, for an instant."""
    return f"ticks:{{{partition}}}:made"


def attempts(partition: int | str) -> str:
    """The hash that counts decision attempts on redelivered ticks."""
    return f"ticks:{{{partition}}}:attempts"


def decisions(partition: int | str) -> str:
    """The stream of published decisions; entry ids are `<index>-1`."""
    return f"decisions:{{{partition}}}"


def effects(partition: int | str) -> str:
    """The stream of the execution side's reports about decisions."""
    return f"effects:{{{partition}}}"


def effects_made(partition: int | str) -> str:
    """The key under which that stream is rebuilt, for an instant."""
    return f"effects:{{{partition}}}:made"


def decisions_made(partition: int | str) -> str:
    """The key under which that stream is rebuilt, for an instant."""
    return f"decisions:{{{partition}}}:made"


def halt(symbol: str | None = None) -> str:
    """The key that halts a symbol, or without one everything, while it is set: no new risk, and no calls."""
    return "controls:halt" if symbol is None else f"controls:halt:{symbol}"


@lru_cache(maxsize=4096)
def halts_of(symbol: str) -> tuple[str, ...]:
    """Every key that can halt a symbol: the global one, its market's, and its own."""
    return tuple(dict.fromkeys((halt(), halt(market_of(symbol)), halt(symbol))))


RESERVED = "controls:reserved"
"""The hash of adds with reserved room, by tick, until their position shows an effect."""


PORTFOLIO = "portfolio:current"
"""The account as a whole: an extension of the schema document, read only if a setting says so."""


TIMEFRAMES = Family(
    "timeframes", "stocks:timeframes:{symbol}", values.Timeframes, DAY_S, "feed", "indicators of longer bars",
    of_market=True,
)  # fmt: skip
"""Indicators of longer bars: an extension of the schema document, written and read only if a setting says so."""


def optional_sections(symbol: str, partition: int) -> dict[str, str]:
    """The sections that a package has only if a setting says so, each with its key."""
    return {"portfolio": PORTFOLIO, "timeframes": TIMEFRAMES.key(symbol), "memory": f"audit:{{{partition}}}:log"}


def latest(partition: int | str, symbol: str) -> str:
    """The key of the last published decision on a symbol."""
    return f"decisions:{{{partition}}}:latest:{symbol}"
