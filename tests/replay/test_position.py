"""The shipped prompts on the demo's decisions: what they show, and what comes of them with recorded answers."""

import re
from collections.abc import Callable

import pytest

from llmctx.context.package import build_package
from llmctx.context.snapshot import Snapshot
from llmctx.prompt.render import Prompt
from llmctx.replay.corpus import Recorded
from llmctx.testing.bench import ReplayedDecision

CORPUS = pytest.mark.corpus("audit/corpus/demo.jsonl")


@CORPUS
def test_the_first_version_is_what_was_sent(render: Callable[..., Prompt], recorded: Recorded) -> None:
    assert render("position/v1").evidence == render().evidence == recorded.pieces["messages"]


@CORPUS
@pytest.mark.parametrize("version", ["position/v1", "position/v2", "position/v3", "position/v4"])
def test_every_version_decides_as_recorded(decide: Callable[..., ReplayedDecision], version: str) -> None:
    decided = decide(version)
    assert not decided.flipped
    assert decided.verdict.grounding is not None
    assert not decided.verdict.grounding.alarms
    assert decided.verdict.grounding.grounded == (version >= "position/v3")  # it asks for citations


@CORPUS
def test_every_version_shows_the_same_facts_and_those_from_the_third_on_mark_texts(
    render: Callable[..., Prompt], recorded: Recorded
) -> None:
    first, second, third, fourth = (
        re.findall(r"^- \S+: .*$", render(ref).messages[1].content, re.MULTILINE)
        for ref in ("position/v1", "position/v2", "position/v3", "position/v4")
    )
    assert [re.sub(r" \[(text|unlisted|unlisted text)\]$", "", line) for line in third] == second
    assert fourth == third
    sections = build_package(Snapshot.from_evidence(recorded.pieces["snapshot"])).sections.values()
    without_facts = sum(section.value is None for section in sections)
    assert second[: len(second) - without_facts] == first


HEAD = "# Position in {0}, as of {1}:00.000Z||## price: fresh, 0.0 s old||- price.price.last: {2} [price]|- price.price.open: {3} [price]"
NEWS = '- sentiment: empty: "stocks:sentiment:{0}: no news"'
EXIT = "- signals.exit: missing: Nobody has written signals:exit:{0}."
NO_FACTS = "## Sections without facts"
REASONING = '- thesis.reasoning: "At {}, between the stop {} and the target {}, no rule asks for a change."'
INVALIDATION = '- thesis.invalidation: "Another rule of the stand-in applies to newer facts."'
VALID = "- thesis.valid_for: 1 [minutes]"
OTHER = '- thesis: empty: "decisions:{{0}}:latest:{0}: the last decision was on another position"'
NO_THESIS = "- thesis: missing: Nobody has written decisions:{{0}}:latest:{0}."
SHOWN = {
    1: ("HARP", "2026-03-02T14:52", "45.04", "45.2", NEWS, EXIT, NO_THESIS),
    2: ("BOLT", "2026-03-02T14:53", "141.55", "142", NEWS, EXIT, NO_THESIS),
    3: ("HARP", "2026-03-02T14:53", "45.08", "45.2", "", NEWS, EXIT),
    74: ("DUNE", "2026-03-02T15:04", "257.17", "256", NO_FACTS, "", EXIT),
    75: ("ELMS", "2026-03-02T15:04", "60.17", "61", NO_FACTS, "", EXIT),
    90: ("ACME", "2026-03-02T15:07", "85.6", "84", "", NEWS, EXIT),
    41: ("FERN", "2026-03-02T14:59", "18.62", "18.4", "", NEWS, EXIT),
    48: ("FERN", "2026-03-02T15:00", "18.62", "18.4", "", NEWS, EXIT),
    125: ("FERN", "2026-03-02T15:13", "18.71", "18.4", "", NEWS, EXIT),
    73: ("CRUX", "2026-03-02T15:04", "37.91", "37.5", "", NEWS, EXIT),
    86: ("CRUX", "2026-03-02T15:06", "37.88", "37.5", "", NEWS, EXIT),
    95: ("GILT", "2026-03-02T15:07", "98.32", "97", NO_FACTS, "", EXIT),
    252: ("GILT", "2026-03-03T14:37", "99.22", "99.59", REASONING.format("99.56", "99.1188", "102.1224"), INVALIDATION, VALID),
    372: ("CRUX", "2026-03-03T15:02", "36.65", "36.86", NO_FACTS, "", EXIT),
    214: ("BOLT", "2026-03-03T14:31", "142.3", "142.22", REASONING.format("142.62", "141.715", "144.1056"), INVALIDATION, VALID),
    215: ("CRUX", "2026-03-03T14:31", "36.8", "36.86", "", EXIT, OTHER),
    222: ("FERN", "2026-03-03T14:32", "18.85", "18.79", NO_FACTS, "", NEWS),
    227: ("FERN", "2026-03-03T14:33", "18.86", "18.79", NO_FACTS, "", NEWS),
}  # fmt: skip
"""What the second version shows of the decisions, by the index of their record: symbol, time, last price, first price,
and the last lines before the question.
"""


@CORPUS
def test_the_second_version_reads_like_this(render: Callable[..., Prompt], recorded: Recorded) -> None:
    lines = render("position/v2").messages[1].content.split("\n")
    symbol, *_, third_last, second_last, last = SHOWN[recorded.index]
    ends = [line.format(symbol) for line in (third_last, second_last, last)]
    assert lines[:6] == HEAD.format(*SHOWN[recorded.index]).split("|")
    assert lines[-5:] == [*ends, "", f"Decide about the position in {symbol} now."]
