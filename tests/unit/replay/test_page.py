import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from llmctx.replay.compare import Comparison, compare_results
from llmctx.replay.page import render_page
from llmctx.replay.plan import Plan
from llmctx.replay.results import ResultsFile
from llmctx.replay.run import Replay
from tests.unit.makers import template_of

from .asking import Model
from .cases import blobs, case

EVIL = '<script>alert(1)</script> & "quoted" </pre>'
VOID = {"meta", "br", "img", "link", "rect", "line", "circle"}


class Tags(HTMLParser):
    """Checks that tags are closed in order and that nothing is loaded from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        assert not [value for name, value in attrs if name in ("src", "href") and value]

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag


async def compared(tmp_path: Path, **said: object) -> Comparison:
    """Compare one recorded hold with a model that answers this."""
    with ResultsFile(tmp_path / "b.jsonl", {"mode": "again"}) as file:
        await Replay(Plan(), blobs(), Model(lambda _: said), file).run([case(0)])
    return compare_results("recorded", str(tmp_path / "b.jsonl"))[0]


@pytest.fixture
async def comparison(tmp_path: Path) -> Comparison:
    """Another prompt on four decisions: one flip, and one answer that differs in one of two repeats."""
    other = template_of("{{ symbol }} costs {{ field('price.price.last') }}", ref="position/v2")
    with ResultsFile(tmp_path / "b.jsonl", {"mode": "prompt"}) as file:
        model = Model(lambda n: {"action": "exit", "reasoning": EVIL} if n == 2 else {})
        await Replay(Plan(other, repeat=2), blobs(), model, file).run([case(0), case(1), case(2)], concurrency=1)
        more = Model(lambda _: {"action": "exit", "reasoning": EVIL})
        await Replay(Plan(other, repeat=2), blobs(), more, file).run([case(3)], concurrency=1)
    return compare_results("recorded", str(tmp_path / "b.jsonl"))[0]


def test_the_page_is_well_formed_and_self_contained(comparison: Comparison) -> None:
    page = render_page(comparison, {"b.jsonl": {"mode": "prompt"}})
    tags = Tags()
    tags.feed(page)
    assert tags.open == []
    assert "script" not in tags.seen
    assert not re.findall(r"(?:https?:)?//[a-z]|@import|url\(", page)
    assert {"svg", "table", "details"} <= set(tags.seen)
    assert "prefers-color-scheme: dark" in page


def test_text_of_models_is_escaped(comparison: Comparison) -> None:
    page = render_page(comparison, {})
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_a_flip_shows_both_answers_both_prompts_and_the_causes(comparison: Comparison) -> None:
    page = render_page(comparison, {})
    assert len(comparison.flips) == 1
    (flip,) = re.findall(r'<details class="flip".*?</details>\s*</div>\s*</details>', page, re.DOTALL)
    assert "position/v1 became position/v2" in flip
    assert "AAPL costs 152.5" in re.sub("</?mark>", "", flip)
    assert re.search(r"<mark>hold</mark>.*<mark>exit</mark>", flip, re.DOTALL)


async def test_a_page_without_a_flip_says_so(tmp_path: Path) -> None:
    assert "No decision flipped." in render_page(await compared(tmp_path), {})


def test_repeated_roles_are_numbered(comparison: Comparison) -> None:
    (flip,) = comparison.flips
    asked_twice = flip._replace(b=flip.b._replace(messages=(*flip.b.messages, ("user", "and once more"))))
    page = render_page(comparison._replace(pairs=[asked_twice]), {})
    assert "user 2 message" in page
    assert "and once more" in page


async def test_a_page_without_usable_answers_is_well_formed(tmp_path: Path) -> None:
    page = render_page(await compared(tmp_path, action="sell"), {})
    Tags().feed(page)
    assert "no decision has a usable answer on both sides" in page
    assert "1 decision lacks a usable answer" in page
    assert "No decision flipped." in page


async def test_amounts_are_shown_without_trailing_zeros(tmp_path: Path) -> None:
    page = render_page(await compared(tmp_path, action="reduce", quantity=4.0), {})
    assert '<td class="text wrap">4</td>' in page
