"""What the trail remembers of a symbol, as a package shows it."""

from pydantic import Field

from llmctx.schema.fields import Count, Number, Positive, Timestamp
from llmctx.schema.values.live_value import LiveValue, unit, unshown


class Opening(LiveValue):
    """How the position began, as its first package showed it; kept while it is open."""

    entry_time: Timestamp
    """When it was opened; identifies the position."""
    entry_price: Positive = unit("price")
    """The price paid per share then."""
    side: str = unshown()
    """Its direction."""
    quantity: Positive = unit("shares")
    """The shares held then."""
    signal: str | None = None
    """The reason of the entry signal that stood then."""
    signal_confidence: Number | None = unit("0 to 1", None)
    """How sure that signal was."""
    reasoning: str | None = None
    """Why it was kept at first: the reasoning of the first usable decision about it."""


class PastDecision(LiveValue):
    """An earlier decision about the position, and what came of it until the package before this one."""

    as_of: Timestamp
    """The time of its data."""
    action: str
    """The action allowed after the guardrails."""
    confidence: Number | None = unit("0 to 1", None)
    """The model's confidence; null if the guardrails decided alone."""
    price: Positive = unit("price")
    """The price then."""
    held: Positive = unit("shares")
    """The shares held then."""
    held_after: Number | None = unit("shares", None)
    """The shares held in the next package; null before there was one."""
    moved_pct: Number = unit("% in the position's favour")
    """How far the price has moved since, against the position if negative."""
    reasoning: str | None = None
    """The model's reasoning, shortened."""


class ClosedPosition(LiveValue):
    """An earlier position of this symbol, by the last package that showed it."""

    entry_time: Timestamp
    """When it was opened."""
    last_seen: Timestamp
    """The time of the last package that showed it."""
    side: str
    """Its direction."""
    result_pct: Number = unit("%")
    """What it had earned then, as a percentage of its entry price."""
    decisions: Count = unit("decisions")
    """How many decisions there were about it."""
    last_action: str | None = None
    """The last action that was allowed."""


class Memory(LiveValue):
    """The `memory` section; what lies later than the package is never in it."""

    last_update: Timestamp
    """The time of the package before this one."""
    price: Positive = unshown()
    """The price then."""
    opening: Opening | None = None
    """How the present position began."""
    count: Count = unit("decisions", 0)
    """How many decisions there were about it."""
    decisions: list[PastDecision] = Field(default_factory=list)
    """The last decisions about it, newest first."""
    closed: list[ClosedPosition] = Field(default_factory=list)
    """Earlier positions of this symbol, newest first."""
