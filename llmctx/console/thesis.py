"""The thesis on a symbol and how it changed: the decisions whose conclusion differed from the previous one."""

from collections.abc import Iterable
from typing import NamedTuple

from llmctx.console.story import Brief, brief_of
from llmctx.trail.log.entry import Entry


class Turn(NamedTuple):
    """A decision at which the thesis changed, or began."""

    brief: Brief
    """Its record."""
    invalidation: str
    """What would change it; empty if the next turn named the same."""
    changes: tuple[str, ...]
    """What changed, in words; empty for the first."""
    repeats: int
    """How many decisions after it concluded the same."""


def turns_of(entries: Iterable[Entry], partitions: int) -> list[Turn]:
    """The turns in some records, which are given oldest first; the newest turn comes first."""
    turns: list[Turn] = []
    for entry in entries:
        decision = entry.record.get("decision")
        if decision is None:
            continue
        brief, invalidation = brief_of(entry, partitions), str(decision.get("invalidation", ""))
        changes = _changes(turns[-1].brief, brief) if turns else ()
        if turns and not changes:
            turns[-1] = turns[-1]._replace(repeats=turns[-1].repeats + 1)
        else:
            turns.append(Turn(brief, invalidation, changes, 0))
    later = [*(turn.invalidation for turn in turns[1:]), ""]
    said_once = [
        turn._replace(invalidation="" if turn.invalidation == named else turn.invalidation)
        for turn, named in zip(turns, later, strict=True)
    ]
    return said_once[::-1]


def _changes(old: Brief, new: Brief) -> tuple[str, ...]:
    """What differs, in words. Every answer words its reasons differently, so they do not count as a change."""
    acted = old.decided == old.action and new.decided == new.action
    pairs = (
        ("model", None if acted else old.decided, None if acted else new.decided),
        ("verdict", old.action, new.action),
        ("levels", old.amounts if old.action == new.action else new.amounts, new.amounts),
        ("prompt", old.prompt, new.prompt),
        ("asked", old.model, new.model),
    )
    return tuple(f"{name} {was or 'none'} → {now or 'none'}" for name, was, now in pairs if was != now)
