"""The market's status: one word of a few, however a writer of system:state spells it."""

import re
from typing import Annotated, Any

from pydantic import PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

SPELLINGS: dict[str, tuple[str, ...]] = {
    "open": (
        "opened", "market open", "regular", "regular hours", "regular market", "regular session",
        "regular trading hours", "rth", "trading", "continuous", "continuous trading", "normal", "in session", "live",
        "online", "always", "always open", "24/7", "24x7", "24h",
    ),
    "pre_market": ("pre", "premarket", "pre open", "preopen", "pre trading", "pre session"),
    "after_hours": (
        "post", "post market", "postmarket", "post trading", "post session", "after", "after market", "aftermarket",
        "afterhours",
    ),
    "extended_hours": ("extended", "extended trading", "eth"),
    "closed": (
        "close", "market closed", "end of day", "eod", "holiday", "weekend", "overnight", "prepre", "postpost", "lunch",
        "lunch break",
    ),
    "halted": (
        "halt", "trading halt", "trading halted", "suspended", "suspend", "suspension", "paused", "pause", "break",
        "circuit breaker", "maintenance", "offline",
    ),
}  # fmt: skip
"""Each status, as prompts and guardrails name it, and its other spellings.

Case makes no difference, nor which of space, `-`, `_` and `.` stands between words.
"""

_MAX_SHOWN = 40


def _plain(word: str) -> str:
    return re.sub(r"[\s_.\-]+", "_", word.strip()).casefold()


_STATUS_OF = {_plain(word): status for status, words in SPELLINGS.items() for word in (status, *words)}


def market_status(value: Any) -> str:
    """The status that a word stands for.

    Raises PydanticCustomError, which names the word, if it is unknown or no text.
    """
    status = _STATUS_OF.get(_plain(value)) if type(value) is str else None
    if status is None:
        raise PydanticCustomError(
            "market_status",
            "{word} is not a known market status; write one of {known}",
            {"word": repr(value)[:_MAX_SHOWN], "known": ", ".join(SPELLINGS)},
        )
    return status


MarketStatus = Annotated[str, PlainValidator(market_status), WithJsonSchema({"type": "string"})]
"""The field type of a market status: any known spelling on the wire, its status here."""
