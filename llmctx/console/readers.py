"""What pages and API share: readers that cache, so that nothing is read twice."""

from typing import NamedTuple, Self

from llmctx.console.approvals import WaitingReader
from llmctx.console.comparison import ComparisonReader
from llmctx.console.health import HealthReader
from llmctx.console.quality import QualityReader
from llmctx.console.subject import Subject


class Readers(NamedTuple):
    """The readers of one subject."""

    quality: QualityReader
    """Measures its answers."""
    health: HealthReader
    """Examines its live system."""
    waiting: WaitingReader | None
    """Reads what waits for a person; None if the trail is a copy."""
    comparisons: ComparisonReader
    """Compares results of replays."""

    @classmethod
    def of(cls, subject: Subject) -> Self:
        """The readers of a subject."""
        live = subject.live
        return cls(
            quality=QualityReader(subject),
            health=HealthReader(live),
            waiting=None if live is None else WaitingReader(live),
            comparisons=ComparisonReader(subject),
        )
