"""What a check of one partition found."""

from typing import Any, NamedTuple

from llmctx.replay.reproduction import Reproduction
from llmctx.trail.proof.fault import Fault


class Report(NamedTuple):
    """What a check of one partition found."""

    partition: int
    """The partition."""
    records: int
    """Records found good."""
    ticks: int
    """Distinct ticks that they settle."""
    rebuilt: int
    """Records with a prompt that came out of their evidence again: the prompt byte for byte, decision and verdict."""
    not_reproducible: int
    """Records that the rules of another released version made, and that do not come out here in every part."""
    fault: Fault | None
    """The first bad record; None where all are good."""
    checkpoints: int = 0
    """Signed checkpoints that agree with the records."""
    covered: int = 0
    """The size that the newest of them signs."""
    losses: tuple[tuple[int, int], ...] = ()
    """First and last index of each range that is lost; the root still computes."""
    incidents: tuple[int, ...] = ()
    """The indices of all incidents."""
    warnings: tuple[str, ...] = ()
    """What is no fault, but should be known."""
    reproduction: Reproduction | None = None
    """The same by version and part, records of unknown rules included; None where nothing was rebuilt."""

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON has it."""
        return self._asdict() | {
            "verdict": self.verdict,
            "fault": None if self.fault is None else self.fault._asdict(),
            "reproduction": None if self.reproduction is None else self.reproduction.as_dict(),
        }

    @property
    def unknown(self) -> int:
        """Records that differ and name rules which this version does not know."""
        return 0 if self.reproduction is None else self.reproduction.unknown.total()

    @property
    def verdict(self) -> str:
        """failed, intact with losses, or verified."""
        if self.fault is not None:
            return "failed"
        return "intact, with losses" if self.losses else "verified"
