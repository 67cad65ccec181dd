"""Rebuild recorded decisions without a model: snapshot to package to prompt, byte for byte, then answer to verdict."""

from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple

from llmctx import clock
from llmctx.replay.corpus import Recorded
from llmctx.replay.difference import Difference, Rebuild
from llmctx.replay.reproduction import Reproduction
from llmctx.replay.rerun import Templates, check_evidence, rebuild
from llmctx.replay.results import Place
from llmctx.rules import Rules


class Differing(NamedTuple):
    """A record that does not come out of its evidence again."""

    place: Place
    """Which record."""
    rebuild: Rebuild
    """What differs part by part, and what caused it."""

    @property
    def difference(self) -> Difference:
        """The difference to tell of first."""
        assert self.rebuild.first is not None
        return self.rebuild.first

    def as_dict(self) -> dict[str, Any]:
        """The finding as JSON has it."""
        difference = self.difference
        return {
            **dict(zip(("origin", "partition", "index"), self.place, strict=True)),
            "cause": difference.by,
            "rule": difference.rule,
            "what": difference.what,
            "tampered": difference.tampered,
            "rules": str(self.rebuild.rules),
            "proven": list(self.rebuild.proven),
            "differing": {part.part: part.what for part in self.rebuild.differences},
        }


class Rebuilt(NamedTuple):
    """What a rebuild came to."""

    records: int
    """Records looked at."""
    prompts: int
    """Prompts that are the same, byte for byte."""
    decisions: int
    """Answers that gave the same decision, grounding and verdict."""
    differing: list[Differing]
    """The records that differ, in order."""
    reproduction: Reproduction
    """Those of them that were not altered, by version and part."""
    elapsed_s: float
    """How long it took, reading included."""
    cpu_s: float
    """How much CPU it took, reading included."""
    rebuild_cpu_s: float
    """How much of that went from snapshot to prompt and from answer to verdict; the rest into reading and digests."""

    @property
    def per_s(self) -> float:
        """Records a second."""
        return self.records / self.elapsed_s if self.elapsed_s else 0.0

    @property
    def per_core_s(self) -> float:
        """Records a second of CPU: what one core does that has nothing else to do."""
        return self.records / self.cpu_s if self.cpu_s else 0.0

    @property
    def rebuild_per_core_s(self) -> float:
        """The same without reading and digests."""
        return self.records / self.rebuild_cpu_s if self.rebuild_cpu_s else 0.0

    @property
    def blame(self) -> dict[str, int]:
        """How many differ by data, template, model and code."""
        return dict(Counter(found.difference.by for found in self.differing))

    @property
    def tampered(self) -> bool:
        """Whether one of them can only be explained by altered evidence."""
        return any(found.difference.tampered for found in self.differing)


async def rebuild_all(
    entries: AsyncIterator[Recorded],
    blobs: dict[str, bytes],
    on_record: Callable[[Recorded, Rebuild], None] = lambda _, __: None,
) -> Rebuilt:
    """Rebuild every record; `blobs` grow with the records."""
    templates = Templates(blobs)
    records = prompts = decisions = 0
    differing: list[Differing] = []
    reproduction = Reproduction()
    rebuild_cpu_s = 0.0
    began_s, began_cpu_s = clock.monotonic_s(), clock.cpu_s()
    async for entry in entries:
        if (altered := check_evidence(entry)) is not None:
            found = Rebuild(Rules.SAME, differences=(altered,))
        else:
            from_s = clock.cpu_s()
            found = rebuild(entry, templates)
            rebuild_cpu_s += clock.cpu_s() - from_s
        records += 1
        prompts += "prompt" in found.proven
        decisions += found.same and "completion" in entry.record
        if not found.same:
            differing.append(Differing(entry.place, found))
            if found.tampering is None:
                reproduction.add(entry.record["code"], found)
        on_record(entry, found)
    elapsed_s, cpu_s = clock.monotonic_s() - began_s, clock.cpu_s() - began_cpu_s
    return Rebuilt(records, prompts, decisions, differing, reproduction, elapsed_s, cpu_s, rebuild_cpu_s)
