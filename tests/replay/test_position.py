"""The shipped prompts on the demo's decisions: what they show, and what comes of them with recorded answers."""

import re
from collections.abc import Callable

import pytest
from inline_snapshot import snapshot

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


SHOWN = snapshot(
    {
        1: [
            "# Position in HARP, as of 2026-03-02T14:52:00.000Z",
            "",
            "## price: fresh, 0.0 s old",
            "",
            "- price.price.last: 45.04 [price]",
            "- price.price.open: 45.2 [price]",
            "...",
            '- sentiment: empty: "stocks:sentiment:HARP: no news"',
            "- signals.exit: missing: Nobody has written signals:exit:HARP.",
            "- thesis: missing: Nobody has written decisions:{0}:latest:HARP.",
            "",
            "Decide about the position in HARP now.",
        ],
        2: [
            "# Position in BOLT, as of 2026-03-02T14:53:00.000Z",
            "",
            "## price: fresh, 0.0 s old",
            "",
            "- price.price.last: 141.55 [price]",
            "- price.price.open: 142 [price]",
            "...",
            '- sentiment: empty: "stocks:sentiment:BOLT: no news"',
            "- signals.exit: missing: Nobody has written signals:exit:BOLT.",
            "- thesis: missing: Nobody has written decisions:{0}:latest:BOLT.",
            "",
            "Decide about the position in BOLT now.",
        ],
        3: [
            "# Position in HARP, as of 2026-03-02T14:53:00.000Z",
            "",
            "## price: fresh, 0.0 s old",
            "",
            "- price.price.last: 45.08 [price]",
            "- price.price.open: 45.2 [price]",
            "...",
            "",
            '- sentiment: empty: "stocks:sentiment:HARP: no news"',
            "- signals.exit: missing: Nobody has written signals:exit:HARP.",
            "",
            "Decide about the position in HARP now.",
        ],
        74: [
            "# Position in DUNE, as of 2026-03-02T15:04:00.000Z",
            "",
            "## price: fresh, 0.0 s old",
            "",
            "- price.price.last: 257.17 [price]",
            "- price.price.open: 256 [price]",
            "...",
            "## Sections without facts",
            "",
            "- signals.exit: missing: Nobody has written signals:exit:DUNE.",
            "",
            "Decide about the position in DUNE now.",
        ],
        75: [
            "# Position in ELMS, as of 2026-03-02T15:04:00.000Z",
            "",
            "## price: fresh, 0.0 s old",
            "",
            "- price.price.last: 60.17 [price]",
            "- price.price.open: 61 [price]",
            "...",
            "## Sections without facts",
            "",
            "- signals.exit: missing: Nobody has written signals:exit:ELMS.",
            "",
            "Decide about the position in ELMS now.",
        ],
        90: [
            "# Position in ACME, as of 2026-03-02T15:07:00.000Z",
            "",
            "## price: fresh, 0.0 s old",
            "",
            "- price.price.last: 85.6 [price]",
            "- price.price.open: 84 [price]",
            "...",
            "",
            '- sentiment: empty: "stocks:sentiment:ACME: no news"',
            "- signals.exit: missing: Nobody has written signals:exit:ACME.",
            "",
            "Decide about the position in ACME now.",
        ],
        41: [
            "# Position in FERN, as of 2026-03-02T14:59:00.000Z",
            "",
            "## price: fresh, 0.0 s old",
            "",
            "- price.price.last: 18.62 [price]",
            "- price.price.open: 18.4 [price]",
            "...",
            "",
            '- sentiment: empty: "stocks:sentiment:FERN: no news"',
            "- signals.exit: missing: Nobody has written signals:exit:FERN.",
            "",
            "Decide about the position in FERN now.",
        ],
        48: [
            "# Position in FERN, as of 2026-03-02T15:00:00.000Z",
            "",
            "## price: fresh, 0.0 s old",
            "",
            "- price.price.last: 18.62 [price]",
            "- price.price.open: 18.4 [price]",
            "...",
            "",
            '- sentiment: empty: "stocks:sentiment:FERN: no news"',
            "- signals.exit: missing: Nobody has written signals:exit:FERN.",
            "",
            "Decide about the position in FERN now.",
        ],
        125: [
            "# Position in FERN, as of 2026-03-02T15:13:00.000Z",
            "",
            "## price: fresh, 0.0 s old",
            "",
            "- price.price.last: 18.71 [price]",
            "- price.price.open: 18.4 [price]",
            "...",
            "",
            '- sentiment: empty: "stocks:sentiment:FERN: no news"',
            "- signals.exit: missing: Nobody has written signals:exit:FERN.",
            "",
            "Decide about the position in FERN now.",
        ],
        73: [
            "# Position in CRUX, as of 2026-03-02T15:04:00.000Z",
            "",
            "## price: fresh, 0.0 s old",
            "",
            "- price.price.last: 37.91 [price]",
            "- price.price.open: 37.5 [price]",
            "...",
            "",
            '- sentiment: empty: "stocks:sentiment:CRUX: no news"',
            "- signals.exit: missing: Nobody has written signals:exit:CRUX.",
            "",
            "Decide about the position in CRUX now.",
        ],
        86: [
            "# Position in CRUX, as of 2026-03-02T15:06:00.000Z",
            "",
            "## price: fresh, 0.0 s old",
            "",
            "- price.price.last: 37.88 [price]",
            "- price.price.open: 37.5 [price]",
            "...",
            "",
            '- sentiment: empty: "stocks:sentiment:CRUX: no news"',
            "- signals.exit: missing: Nobody has written signals:exit:CRUX.",
            "",
            "Decide about the position in CRUX now.",
        ],
        95: [
            "# Position in GILT, as of 2026-03-02T15:07:00.000Z",
            "",
            "## price: fresh, 0.0 s old",
            "",
            "- price.price.last: 98.32 [price]",
            "- price.price.open: 97 [price]",
            "...",
            "## Sections without facts",
            "",
            "- signals.exit: missing: Nobody has written signals:exit:GILT.",
            "",
            "Decide about the position in GILT now.",
        ],
        252: [
            "# Position in GILT, as of 2026-03-03T14:37:00.000Z",
            "",
            "## price: fresh, 0.0 s old",
            "",
            "- price.price.last: 99.22 [price]",
            "- price.price.open: 99.59 [price]",
            "...",
            '- thesis.reasoning: "At 99.56, between the stop 99.1188 and the target 102.1224, no rule asks for a change."',
            '- thesis.invalidation: "Another rule of the stand-in applies to newer facts."',
            "- thesis.valid_for: 1 [minutes]",
            "",
            "Decide about the position in GILT now.",
        ],
        372: [
            "# Position in CRUX, as of 2026-03-03T15:02:00.000Z",
            "",
            "## price: fresh, 0.0 s old",
            "",
            "- price.price.last: 36.65 [price]",
            "- price.price.open: 36.86 [price]",
            "...",
            "## Sections without facts",
            "",
            "- signals.exit: missing: Nobody has written signals:exit:CRUX.",
            "",
            "Decide about the position in CRUX now.",
        ],
        214: [
            "# Position in BOLT, as of 2026-03-03T14:31:00.000Z",
            "",
            "## price: fresh, 0.0 s old",
            "",
            "- price.price.last: 142.3 [price]",
            "- price.price.open: 142.22 [price]",
            "...",
            '- thesis.reasoning: "At 142.62, between the stop 141.715 and the target 144.1056, no rule asks for a change."',
            '- thesis.invalidation: "Another rule of the stand-in applies to newer facts."',
            "- thesis.valid_for: 1 [minutes]",
            "",
            "Decide about the position in BOLT now.",
        ],
        215: [
            "# Position in CRUX, as of 2026-03-03T14:31:00.000Z",
            "",
            "## price: fresh, 0.0 s old",
            "",
            "- price.price.last: 36.8 [price]",
            "- price.price.open: 36.86 [price]",
            "...",
            "",
            "- signals.exit: missing: Nobody has written signals:exit:CRUX.",
            '- thesis: empty: "decisions:{0}:latest:CRUX: the last decision was on another position"',
            "",
            "Decide about the position in CRUX now.",
        ],
        222: [
            "# Position in FERN, as of 2026-03-03T14:32:00.000Z",
            "",
            "## price: fresh, 0.0 s old",
            "",
            "- price.price.last: 18.85 [price]",
            "- price.price.open: 18.79 [price]",
            "...",
            "## Sections without facts",
            "",
            '- sentiment: empty: "stocks:sentiment:FERN: no news"',
            "",
            "Decide about the position in FERN now.",
        ],
        227: [
            "# Position in FERN, as of 2026-03-03T14:33:00.000Z",
            "",
            "## price: fresh, 0.0 s old",
            "",
            "- price.price.last: 18.86 [price]",
            "- price.price.open: 18.79 [price]",
            "...",
            "## Sections without facts",
            "",
            '- sentiment: empty: "stocks:sentiment:FERN: no news"',
            "",
            "Decide about the position in FERN now.",
        ],
    }
)
"""The beginning and the end of what the second version makes of the decisions, by the index of their record."""


@CORPUS
def test_the_second_version_reads_like_this(render: Callable[..., Prompt], recorded: Recorded) -> None:
    user = render("position/v2").messages[1].content
    ends = [*user.split("\n")[:6], "...", *user.split("\n")[-5:]]
    assert ends == SHOWN[recorded.index]
