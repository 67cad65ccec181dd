"""The symbol in the name of a file: the one it begins with, or where its publisher puts it."""

import re
from pathlib import Path

from llmctx.schema.symbol import is_symbol

_SUFFIXES = re.compile(r"(\.(csv|txt|tsv|gz|zip|parquet|pq))+$", re.IGNORECASE)
_FORMS = (
    re.compile(r"[A-Za-z0-9]+_(?P<symbol>[^ ,]+), \w+( \(\d+\))?"),  # TradingView: NASDAQ_AAPL, 1D
    re.compile(r"DAT_[A-Z]+_(?P<symbol>[^_]+)_.*"),  # HistData: DAT_ASCII_EURUSD_M1_2024
    re.compile(r"(WIKI|EOD)[-_](?P<symbol>[^-_ ]+).*"),  # Nasdaq Data Link: WIKI-AAPL
    re.compile(r"(?P<symbol>[^-_ ]+[-_](USD[TC]?|EUR|GBP|BTC|ETH))([-_ .].*)?", re.IGNORECASE),  # a pair: BTC-USD
    re.compile(r"(?P<symbol>[^-_ ]+).*"),
)
_NO_SYMBOL = re.compile(
    r"bars|candles|data|download|export|histor(y|ical)(data)?|klines|ohlcv?|out(put)?|prices?|quotes|stocks?|table",
    re.IGNORECASE,
)


def symbol_in_name(path: Path) -> str | None:
    """The symbol in the name of a file; None if it has none, as in data.csv."""
    name = _SUFFIXES.sub("", path.name)
    found = next((match["symbol"] for form in _FORMS if (match := form.fullmatch(name))), "")
    return found if is_symbol(found) and _NO_SYMBOL.fullmatch(found) is None else None
