"""The prompt before: what a symbol's last prompt said otherwise."""

from difflib import unified_diff
from typing import NamedTuple

from llmctx.console.story import Story
from llmctx.trail.log.entry import Entry, address
from llmctx.trail.source.source import Source

_MAX_READ = 300
_MAX_LINES = 400
_HEADER_LINES = 2


class PromptBefore(NamedTuple):
    """How a prompt differs from the one before of its symbol."""

    address: str
    """The record with the prompt before."""
    lines: list[tuple[str, str]]
    """Each differing line with + or -, in order."""


async def prompt_before(source: Source, entry: Entry, story: Story) -> PromptBefore | None:
    """What differs from the prompt before of the same symbol; None if there is none among the records before it.

    Raises LlmctxError if the source cannot be read.
    """
    if not story.messages:
        return None
    part = next(part for part in source.parts if part.partition == entry.partition)
    read = 0
    async for other in part.read_back(entry.index):
        read += 1
        if other.record.get("symbol") == entry.record.get("symbol") and "messages" in other.pieces:
            old, new = _user_lines(Story(other, source.partitions)), _user_lines(story)
            place = address(other.index, other.partition, source.partitions)
            return PromptBefore(place, _differing(old, new))
        if read == _MAX_READ:
            break
    return None


def _user_lines(story: Story) -> list[str]:
    """The lines of what was asked, without the fixed part."""
    return [line for role, text in story.messages if role != "system" for line in text.split("\n")]


def _differing(old: list[str], new: list[str]) -> list[tuple[str, str]]:
    found = list(unified_diff(old, new, n=0, lineterm=""))[_HEADER_LINES:]
    return [(line[0], line[1:]) for line in found if not line.startswith("@@")][:_MAX_LINES]
