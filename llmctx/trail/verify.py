"""Verify a log: the rules that need no knowledge of what the records mean (audit/README.md states them).

The first record that breaks a rule ends a check: everything after it stands on it.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from llmctx import canonical
from llmctx.trail.entry import PIECES, Entry

KINDS = ("decision", "skipped", "failed", "dead_letter", "incident", "notice")
"""The kinds of record."""
SETTLING = ("decision", "skipped", "failed", "dead_letter")
"""The kinds that settle a tick."""


REQUIRED = ("recorded_at_ms", "worker", "attempts", "code", "verdict")
"""What every record has."""
FORM: dict[str, type] = {
    "recorded_at_ms": int,
    "symbol": str,
    "cause": str,
    "as_of_ms": int,
    "timings_ms": dict,
    "worker": str,
    "attempts": int,
    "code": str,
    "verdict": dict,
    "snapshot": dict,
    "prompt": dict,
    "request": dict,
    "completion": dict,
    "decision": dict,
}
"""The JSON types of a record's names."""


class Fault(NamedTuple):
    """A rule that a record breaks."""

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


class Verifier:
    """Checks records in order; knows what it has seen so far."""

    def __init__(self) -> None:
        self.size = 0
        """How many records were found good."""
        self.settled: dict[str, int] = {}
        """Every tick that was settled, with the index of its record."""

    def check(self, entry: Entry) -> Fault | None:
        """The rule that the next record breaks, None where it is good."""
        if entry.index != self.size:
            return Fault(self.size, "contiguity", f"index {self.size}", f"index {entry.index}")
        fault = _check_form(entry) or self._check_ticks(entry) or _check_evidence(entry)
        if fault is None:
            self.size += 1
        return fault

    def check_map(self, tick_map: Mapping[str, int], size: int | None = None) -> Fault | None:
        """Whether a map of tick ids says just what the records say.

        `size` is how many records the log had when the map was taken; ticks of later ones need not be in it.
        """
        faults = []
        for tick in self.settled.keys() | tick_map.keys():
            says, is_at = tick_map.get(tick), self.settled.get(tick)
            if says is None and size is not None and is_at is not None and is_at >= size:
                continue
            if says != is_at:
                index = self.size if is_at is None else is_at
                faults.append(Fault(index, "tick-map", f"tick {tick} -> {is_at}", f"tick {tick} -> {says}"))
        return min(faults, default=None)

    def _check_ticks(self, entry: Entry) -> Fault | None:
        record = entry.record
        own, conflated = record.get("tick"), record.get("conflated", [])
        listed = conflated if isinstance(conflated, list) else [None]
        ticks = [*([own] if "tick" in record else []), *listed]
        settles = record["kind"] in SETTLING
        if ("tick" in record) != settles or not all(isinstance(tick, str) for tick in ticks) or (ticks and not settles):
            expected = "a tick" if settles else "no tick"
            return Fault(entry.index, "one-record-per-tick", f"{expected} in a {record['kind']}", str(ticks)[:120])
        for tick in ticks:
            first = self.settled.setdefault(tick, entry.index)
            if first != entry.index or ticks.count(tick) > 1:
                return Fault(entry.index, "one-record-per-tick", f"tick {tick} only in record {first}", "it again")
        return None


def _check_form(entry: Entry) -> Fault | None:
    try:
        record: Any = canonical.loads(entry.leaf)
    except ValueError as error:
        return Fault(entry.index, "canonical-form", "one JSON text without duplicate names", str(error))
    known = isinstance(record, dict) and record.get("kind") in KINDS
    if not known or type(record.get("v")) is not int or record["v"] != 1:
        return Fault(entry.index, "record-form", 'an object with "v": 1 and a known kind', str(record)[:120])
    for name, kinds in FORM.items():
        required = name in REQUIRED
        if (required or name in record) and type(record.get(name)) is not kinds:
            found = f"{name} {str(record.get(name))[:120]!r}"
            return Fault(entry.index, "record-form", f"{name} as {kinds.__name__}", found)
    if not canonical.is_canonical(entry.leaf):
        return Fault(entry.index, "canonical-form", "RFC 8785 bytes of its content", "other bytes")
    return None


def _check_evidence(entry: Entry) -> Fault | None:
    promised = {
        piece: entry.record[name]["sha256"]
        for piece, name in PIECES.items()
        if isinstance(entry.record.get(name), dict) and "sha256" in entry.record[name]
    }
    if promised.keys() != entry.pieces.keys():
        return Fault(entry.index, "evidence-pieces", _names(promised), _names(entry.pieces))
    for piece, digest in promised.items():
        found = canonical.sha256(entry.pieces[piece])
        if found != digest:
            return Fault(entry.index, f"evidence-digest of {piece}", digest, found)
    return None


def _names(pieces: Mapping[str, object]) -> str:
    return ", ".join(sorted(pieces)) or "none"
