"""A finding: one rule of plausibility that a section breaks, and what can still confirm its price."""

from enum import StrEnum
from typing import NamedTuple


class ConfirmedBy(StrEnum):
    """What confirms a price that a rule puts in doubt."""

    NOT_NEEDED = "not needed"
    """The rule casts no doubt on the newest price."""
    NEWER = "any newer price"
    """A price with a later timestamp."""
    LATER = "a later price of another value"
    """A price with a later timestamp and another value, plausible relative to the first one."""
    PERSON = "llmctx confirm, or a rewritten position"
    """A person."""


class Finding(NamedTuple):
    """One rule that a section breaks."""

    rule: str
    """Its name."""
    reason: str
    """The fields and values concerned, in a sentence."""
    confirmed_by: ConfirmedBy = ConfirmedBy.NOT_NEEDED
    """What confirms the price."""

    @property
    def doubts_price(self) -> bool:
        """Whether the newest price must be confirmed before it is acted on."""
        return self.confirmed_by is not ConfirmedBy.NOT_NEEDED

    def __str__(self) -> str:
        return f"{self.rule}: {self.reason}"
