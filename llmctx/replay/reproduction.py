"""How far records that other rules made come out of their evidence here: counted by version and by part."""

from collections import Counter
from typing import Any

from llmctx.replay.difference import Rebuild
from llmctx.rules import Rules


class Reproduction:
    """Counts of the records that differ without being altered. The parts of each are counted one by one."""

    def __init__(self) -> None:
        self.known: Counter[str] = Counter()
        """Records that rules of a released version made, by their `code`."""
        self.unknown: Counter[str] = Counter()
        """Records that rules made which no version known here has, by their `code`."""
        self.proven: Counter[str] = Counter()
        """Parts of these records that came out as recorded all the same."""
        self.differing: Counter[str] = Counter()
        """Parts of these records that did not."""

    def add(self, code: str, rebuild: Rebuild) -> None:
        """Count a record that differs and was not altered; one that is the same counts nowhere."""
        if rebuild.same:
            return
        (self.unknown if rebuild.rules is Rules.UNKNOWN else self.known)[code] += 1
        self.proven.update(rebuild.proven)
        self.differing.update(difference.part for difference in rebuild.differences)

    def as_dict(self) -> dict[str, Any]:
        """The counts as JSON has them."""
        return {name: dict(counter) for name, counter in vars(self).items()}

    def lines(self) -> list[str]:
        """The counts in words: none where every record came out."""
        if not self.differing:
            return []
        made = ", ".join(f"{count} of {code}" for code, count in (self.known + self.unknown).items())
        lines = [f"not reproducible by this version: {made}, in their {_counts(self.differing)}"]
        if self.proven:
            lines.append(f"proven in the same records: {_counts(self.proven)}")
        return lines

    def warnings(self) -> list[str]:
        """What is to be said of rules that are not known here."""
        if not self.unknown:
            return []
        warning = (
            f"{self.unknown.total()} records that differ name rules which this version does not know "
            f"({', '.join(sorted(self.unknown))}); check them with the version that made them"
        )
        return [warning]


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{part} ({count})" for part, count in counter.items())
