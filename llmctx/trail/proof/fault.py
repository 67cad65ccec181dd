"""A fault: the first place where a trail breaks a rule of audit/README.md."""

from typing import NamedTuple


class Fault(NamedTuple):
    """A rule that is broken, and where first."""

    at: int
    """The first bad index."""
    rule: str
    """The rule, by the name it has in audit/README.md."""
    expected: str
    """What the rule requires."""
    found: str
    """What was found instead."""

    def __str__(self) -> str:
        return f"record {self.at} breaks {self.rule}: expected {self.expected}, found {self.found}"


class FaultError(Exception):
    """Ends a check at its first fault; callers turn it back into a value."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        super().__init__(str(fault))
