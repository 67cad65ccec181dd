"""perp/v1 on decisions about leveraged positions: what it shows of them, and what comes of it with recorded answers."""

import json
import re
from collections.abc import Callable

import pytest

from llmctx.context.package import build_package
from llmctx.context.snapshot import Snapshot
from llmctx.prompt.render import Prompt
from llmctx.replay.corpus import Recorded
from llmctx.testing.bench import ReplayedDecision

CORPUS = pytest.mark.corpus("audit/corpus/perp.jsonl")


@CORPUS
def test_it_is_what_was_sent(render: Callable[..., Prompt], recorded: Recorded) -> None:
    sent = [message["content"] for message in json.loads(recorded.pieces["messages"])]
    system, user = (message.content for message in render("perp/v1").messages)
    assert sent[1] == user
    assert sent[0].startswith(system)  # the form of the answer came after it, for this endpoint


@CORPUS
def test_it_decides_as_recorded_and_cites_every_number(decide: Callable[..., ReplayedDecision]) -> None:
    decided = decide("perp/v1")
    assert not decided.flipped
    assert decided.verdict.grounding is not None
    assert decided.verdict.grounding.grounded
    assert not decided.verdict.grounding.alarms


@CORPUS
@pytest.mark.parametrize("version", ["perp/v1", "position/v3", "position/v4", "small/v1"])
def test_every_prompt_shows_margin_and_liquidation_with_their_units(
    render: Callable[..., Prompt], recorded: Recorded, version: str
) -> None:
    package = build_package(Snapshot.from_evidence(recorded.pieces["snapshot"]))
    lines = render(version).messages[1].content.splitlines()
    held = package.position
    for line in (
        f"- position.leverage: {held.leverage} [x]",
        f"- position.margin: {held.margin} [account currency]",
        f"- position.liquidation_price: {held.liquidation_price} [price]",
    ):
        assert line in lines
    basis = '- position.unrealized_pnl_pct_basis: "price"'
    assert (basis if version == "small/v1" else f"{basis} [text]") in lines
    assert all(re.fullmatch(r"- position\.funding_rate: \S+ \[of notional\]", one) for one in lines if "funding" in one)


@CORPUS
def test_it_shows_the_time_frames_and_explains_each_name(render: Callable[..., Prompt]) -> None:
    system, user = (message.content for message in render("perp/v1").messages)
    shown = set(re.findall(r"^- timeframes\.(\w+)\.", user, re.MULTILINE))
    assert shown <= {"m5", "h1"}
    explained = system.partition("## What each section says")[2].partition("# How to decide")[0]
    assert all(name in explained for name in ("m1", "m5", "m15", "h1", "h4", "d1", "leverage", "margin"))
    assert "[% of margin]" in explained
