"""A finding: what one check of the doctor found out."""

from dataclasses import dataclass, field
from enum import StrEnum


class Level(StrEnum):
    """How bad a finding is."""

    GREEN = "green"
    """In order."""
    AMBER = "amber"
    """Not as it should be, or unknown; it will cause harm."""
    RED = "red"
    """It causes harm now, or evidence may be lost."""


@dataclass(frozen=True)
class Finding:
    """The result of one check."""

    name: str = field(default="", kw_only=True)
    """The check's name, which the examination gives it."""
    level: Level
    """How bad it is."""
    what: str
    """The present state."""
    consequence: str = ""
    """The consequence; empty if all is in order."""
    do: str = ""
    """What to do about it; empty if all is in order."""


def green(what: str) -> Finding:
    """The finding that all is in order."""
    return Finding(Level.GREEN, what)


def amber(what: str, consequence: str, do: str) -> Finding:
    """The finding that something will cause harm."""
    return Finding(Level.AMBER, what, consequence, do)


def red(what: str, consequence: str, do: str) -> Finding:
    """The finding that something causes harm now."""
    return Finding(Level.RED, what, consequence, do)


def unknown(why: str, do: str) -> Finding:
    """The finding that nothing is known, which is never green."""
    return amber(f"unknown: {why}", "Nobody would notice if this went wrong.", do)


def worst(findings: list[Finding]) -> Level:
    """The worst level among findings."""
    return max((finding.level for finding in findings), key=list(Level).index, default=Level.GREEN)
