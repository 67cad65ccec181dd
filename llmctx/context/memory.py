"""What the trail remembers about a symbol, as shown in a package of its present position (see context/remember)."""

from decimal import Decimal
from typing import Literal

from llmctx import clock
from llmctx.schema import values

MemoryLength = Literal["off", "short", "long"]
"""The length of a package's memory."""
NOTHING = b"{}"
"""The memory before the first package."""
_ROUNDING = Decimal("1e-9")
_PLACES, _LARGEST = Decimal("0.0001"), Decimal(10**6)


def seen_from(memory: values.Memory, position: values.Position) -> values.Memory:
    """The memory as a package of this position shows it; if it is another position, the previous one is closed."""
    opening = memory.opening
    if opening is None or _is_same(opening, position):
        return memory
    last = memory.decisions[0].action if memory.decisions else None
    closed = values.ClosedPosition(
        entry_time=opening.entry_time,
        last_seen=memory.last_update,
        side=opening.side,
        result_pct=moved_pct(opening.entry_price, memory.price, opening.side),
        decisions=memory.count,
        last_action=last,
    )
    return memory.model_copy(update={"opening": None, "count": 0, "decisions": [], "closed": [closed, *memory.closed]})


def _is_same(opening: values.Opening, position: values.Position) -> bool:
    """A collector that restarts may set a new entry time; the paper broker may average the entry price."""
    return clock.to_ms(opening.entry_time) == clock.to_ms(position.entry_time) or (
        opening.side == position.side
        and abs(opening.entry_price - position.entry_price) <= _ROUNDING * position.entry_price
    )


def moved_pct(then: Decimal, now: Decimal, side: str) -> Decimal:
    """The move from one price to another in percent, positive if it favours this side."""
    moved = max(-_LARGEST, min(_LARGEST, (now / then - 1) * 100))
    return (moved if side == "long" else -moved).quantize(_PLACES)
