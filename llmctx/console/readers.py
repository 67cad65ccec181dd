"""What pages and API share: readers that keep what they have read, so that nobody pays for it twice."""

from typing import NamedTuple, Self

from llmctx.console.health import HealthReader
from llmctx.console.quality import QualityReader
from llmctx.console.subject import Subject


class Readers(NamedTuple):
    """The readers of one subject."""

    quality: QualityReader
    """Measures its answers."""
    health: HealthReader
    """Examines its live system."""

    @classmethod
    def of(cls, subject: Subject) -> Self:
        """The readers of a subject."""
        return cls(QualityReader(subject), HealthReader(subject.live))
