r"""Symbols: one rule for every market's names, so that each is safe in a key, in a prompt and on a command line.

A symbol has 1 to 32 characters: letters and digits of any script, and . _ / ^ = + - : & $ @ # !, with single spaces
between them. It begins with a letter, a digit or one of . ^ = $ @ / #, and holds at least one letter or digit. Braces
are refused because they mark a hash tag in a key, * ? [ ] \ because they are patterns, and look-alike forms (full
width, combining accents) because two texts would then name one symbol.

A symbol that ends in :long or :short is a leg: one of two positions in the same market at the same time. What is about
the market is read under the market's symbol.
"""

import re
import unicodedata
from functools import lru_cache

from llmctx.errors import SchemaError
from llmctx.limits import MAX_SYMBOL_CHARS

_SHAPE = re.compile(r"[.^=$@/#]{0,2}[^\W_](?: ?[\w./^=+:&$@#!-])*\Z")


@lru_cache(maxsize=4096)
def is_symbol(text: str) -> bool:
    """Whether a text is a symbol."""
    plain = len(text) <= MAX_SYMBOL_CHARS and unicodedata.normalize("NFKC", text) == text
    return plain and _SHAPE.match(text) is not None


_LEGS = (":long", ":short")


def market_of(symbol: str) -> str:
    """The symbol of the market that a leg is in; any other symbol as it is."""
    market, _, side = symbol.rpartition(":")
    return market if market and f":{side}" in _LEGS else symbol


def legs_of(symbol: str) -> tuple[str, ...]:
    """A symbol and the two legs that its market may have."""
    return (symbol, *(symbol + leg for leg in _LEGS))


def check_symbol(symbol: str) -> str:
    """Return the symbol.

    Raises SchemaError if it is not one by the rule above.
    """
    if not is_symbol(symbol):
        raise SchemaError(
            f"{symbol!r} is not a symbol: at most {MAX_SYMBOL_CHARS} letters, digits, single spaces and "
            ". _ / ^ = + - : & $ @ # !, beginning with a letter or digit, optionally after . ^ = $ @ / or #.",
            "Write the symbol as in positions:active:SYMBOL, for example AAPL or BTC/USDT:USDT.",
        )
    return symbol
