"""A fault: a rule of audit/README.md that something breaks."""

from typing import NamedTuple


class Fault(NamedTuple):
    """A rule that is broken, and where first."""

    at: int
    """The first bad index."""
    rule: str
    """The rule, by the name it has in audit/README.md."""
    expected: str
    """What the rule asks for."""
    found: str
    """What is there."""

    def __str__(self) -> str:
        return f"record {self.at} breaks {self.rule}: expected {self.expected}, found {self.found}"


class FaultError(Exception):
    """Ends a check at its first fault."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        super().__init__(str(fault))
