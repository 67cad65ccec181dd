"""Sections that depend on others: the memory of this position, and the portfolio with every counted position."""

from datetime import datetime

from llmctx.context.content import SectionContent, read_content
from llmctx.context.memory import NOTHING, seen_from
from llmctx.context.portfolio import with_uncounted
from llmctx.schema import values


def fit_memory(contents: dict[str, SectionContent], latest: datetime) -> None:
    """Show the memory as of this position and time; a memory of a later time is ignored."""
    content, position = contents.get("memory"), contents.get("position")
    if content is None or not isinstance(content.value, values.Memory):
        return
    if content.future_moment(latest) is not None:
        contents["memory"] = read_content("memory", NOTHING)
    elif position is not None and isinstance(position.value, values.Position):
        seen = seen_from(content.value, position.value)
        if seen is not content.value:
            contents["memory"] = SectionContent("memory", seen)


def fit_portfolio(contents: dict[str, SectionContent]) -> None:
    """Report positions that system:state counts and a joined portfolio lacks."""
    content, system = contents.get("portfolio"), contents.get("system")
    if content is None or system is None:
        return
    if isinstance(content.value, values.Portfolio) and isinstance(system.value, values.System):
        whole = with_uncounted(content.value, system.value)
        if whole is not content.value:
            contents["portfolio"] = SectionContent("portfolio", whole)
