"""What a feed did, in numbers."""

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class Summary:
    """What a feed did."""

    run: str
    """The run's id, which every tick id carries."""
    bars: int = 0
    """Bars written."""
    headlines: int = 0
    """Headlines written."""
    ticks: int = 0
    """Ticks raised."""
    opened: int = 0
    """Positions opened."""
    closed: int = 0
    """Positions closed."""
    fills: int = 0
    """Fills of the paper broker."""
    adjusted: list[str] = field(default_factory=list)
    """Symbols whose position was rewritten for a split."""
    already_fed: int = 0
    """Bars not newer than what the bars stream holds, and headlines that are known or too old to count; left out."""
    bad_rows: int = 0
    """Rows that say nothing usable, or out of order, left out."""
    suspected: int = 0
    """Bars at which a corporate action was suspected."""
    first: str | None = None
    """When the first written bar began."""
    last: str | None = None
    """When the last written bar ended."""
    symbols: list[str] = field(default_factory=list)
    """The symbols fed."""

    def as_dict(self) -> dict[str, Any]:
        """The summary as JSON has it."""
        return asdict(self)
