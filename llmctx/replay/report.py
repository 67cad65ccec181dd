"""What a check of one partition found."""

from typing import Any, NamedTuple

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
    """Records of another code version that do not come out here."""
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

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON has it."""
        return self._asdict() | {"verdict": self.verdict, "fault": None if self.fault is None else self.fault._asdict()}

    @property
    def verdict(self) -> str:
        """failed, intact with losses, or verified."""
        if self.fault is not None:
            return "failed"
        return "intact, with losses" if self.losses else "verified"
