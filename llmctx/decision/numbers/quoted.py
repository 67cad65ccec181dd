"""Quoted: the numbers inside texts of a package, which an answer may repeat: headlines, reasons, the last reasoning."""

import re
from functools import lru_cache

from llmctx.decision.numbers.claim import Form
from llmctx.decision.numbers.claims import claims_of

_DIGIT = re.compile("[0-9]")
_CUT = " (not shown)"


def quotes(path: str, text: str) -> bool:
    """Whether the text at a path has numbers in it, and is shown whole."""
    return bool(_DIGIT.search(text)) and not path.endswith(_CUT)


@lru_cache(maxsize=1_000)
def numbers_in(text: str) -> tuple[tuple[float, Form | None, frozenset[str]], ...]:
    """Value, form and topics of each number in a text of the package; headlines and reasons stay for many ticks."""
    return tuple(
        (
            claim.value,
            claim.form if claim.form is Form.PERCENT else Form.MONEY,
            claim.topics if claim.bound is None else frozenset({claim.bound}),
        )
        for claim in claims_of(text)
    )
