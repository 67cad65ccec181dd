"""Each of 966 hostile texts in every place of every page: no script runs, no structure breaks, nothing is too wide."""

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from redis.asyncio import Redis

from llmctx.console.approvals import Waiting
from llmctx.console.chart import draw
from llmctx.console.desk import Desk, Head, PositionRow
from llmctx.console.fills import Fill
from llmctx.console.headlines import Headline
from llmctx.console.rendering import render, static_text
from llmctx.console.story import Story, brief_of, known_of
from llmctx.console.subject import Subject
from llmctx.console.thesis import turns_of
from llmctx.trail.log.entry import Entry
from llmctx.trail.source.filter import Filter
from llmctx.trail.source.lookup import newest
from tests.integration.console.conftest import Browser
from tests.integration.console.hostile import TEXTS
from tests.integration.console.test_browser import chromium
from tests.integration.console.test_pages import tags_of
from tests.unit.context.scene import TEXTS as SECTIONS
from tests.unit.context.scene import package_of

pytestmark = [pytest.mark.more, pytest.mark.timeout(900)]

TOO_WIDE = """() => document.documentElement.scrollWidth <= innerWidth ? [] : [...document.querySelectorAll("main *")]
  .filter((one) => one.getBoundingClientRect().right > innerWidth + 1 && !one.closest(".scroll, pre, svg"))
  .slice(0, 9).map((one) => one.parentElement.tagName + " " + one.tagName + "." + one.className + " " + one.textContent.slice(0, 50))"""
"""What sticks out of the page."""
AT_MS = 1772463600000
KEPT = ("side", "symbol")
OUR_TAGS = {
    "a", "article", "blockquote", "br", "button", "circle", "code", "dd", "del", "details", "div", "dl", "dt", "figure",
    "figcaption", "form", "h1", "h2", "header", "input", "ins", "label", "li", "line", "ol", "option", "p", "path", "polyline",
    "pre", "q", "rect", "section", "select", "span", "strong", "summary", "svg", "table", "tbody", "td", "text", "th", "thead",
    "time", "title", "tr", "ul",
    "html", "head", "meta", "link", "script", "body", "main", "nav", "noscript",
}  # fmt: skip


def attacked(value: Any, text: str) -> Any:
    """The same value with this text in the place of every text."""
    if isinstance(value, dict):
        return {name: item if name in KEPT else attacked(item, text) for name, item in value.items()}
    if isinstance(value, list):
        return [attacked(item, text) for item in value]
    return text if isinstance(value, str) else value


def attacked_entry(entry: Entry, text: str) -> Entry:
    """A record with this text in every place, its evidence included."""
    record = attacked(entry.record, text)
    record["timings_ms"] = {text: 1.0}
    pieces = dict(entry.pieces) | {"completion": text.encode(errors="replace")}
    if "messages" in pieces:
        pieces["messages"] = json.dumps([{"role": text, "content": text}]).encode()
    made = Entry(entry.leaf, pieces, index=entry.index)
    made.accept(record)
    return made


def pages_with(text: str, entries: list[Entry]) -> Iterator[str]:
    """Every page with this text in every place."""
    made = [attacked_entry(entry, text) for entry in entries]
    briefs = [brief_of(entry, 1) for entry in made]
    documents = {name: json.loads(document) for name, document in SECTIONS.items()}
    for name in documents.keys() - {"price", "position"}:
        documents[name] = attacked(documents[name], text)
    package = package_of({name: json.dumps(document) for name, document in documents.items()})
    acting = {"writes": True, "form_key": "0", "user": text, "people": [text], "here": text, "done": "1"}
    layout = {"page": "", "subject_name": text, "now": AT_MS}
    head = Head(1, 1, 1, 1, AT_MS, 1, text, 1, (text, text))
    row = PositionRow("AAPL", package, (text,), (Decimal(1), Decimal(2)), briefs[-1])
    yield render("desk", desk=Desk(head, [row], briefs), **acting, **layout)
    waiting = Waiting(briefs[-1], text[:24], {"quantity": text[:24]}, AT_MS, 1000)
    yield render("approvals", waiting=[waiting], **acting, **layout)
    problem = {"error": text, "what_to_do": text}
    options = {"actions": [text], "guards": [text], "kinds": [text]}
    terms = {"q": text, "symbol": text, "text": text}
    found = {"terms": terms, "understood": {"text": text}, "limit": 3, "query": ""}
    yield render("find", rows=briefs, problem=None, **found, **options, **layout)
    yield render("find", rows=[], problem=problem, **found, **options, **layout)
    news = [Headline(AT_MS, text, text)]
    closes = [(AT_MS, Decimal(100)), (AT_MS + 60_000, Decimal(101))]
    chart = draw(closes, [Fill(AT_MS, text, Decimal(1), Decimal(100))], made, news, 1)
    symbol = {"symbol": text, "rows": briefs, "turns": turns_of(made, 1), "news": news, "chart": chart, "asked": text}
    yield render("symbol", package=package, sections=known_of(package), **symbol, **acting, **layout)
    for entry in made:
        story = {"story": Story(entry, 1), "said": briefs, "others": [(text, text, 0.5, text)], "after": [(text, 1.0)]}
        proof = {"receipt": None, "signed": text, "unsigned": text, "before": None, "awaits": True}
        yield render("decision", standalone=False, **story, **proof, **acting, **layout)
    yield render("error", what=text, do=text, **layout)
    yield render("sign_in", to=text, wrong=True, **layout)


async def test_no_text_of_966_gets_out_of_its_place(subject: Subject) -> None:
    assert len(TEXTS) == len(set(TEXTS)) == 966
    entries = (await newest((await subject.source()).parts, Filter())).entries
    for text in TEXTS:
        for page in pages_with(text, entries[-1:]):
            for tag, attributes in tags_of(page):
                assert tag in OUR_TAGS, (text, tag)
                assert not [name for name in attributes if name.startswith("on") or name == "style"], (text, tag)
                for name in ("href", "src", "action", "formaction", "data"):
                    to = attributes.get(name) or "/"
                    assert to[:1] in "/#", (text, tag, to)
                    assert to[1:2] not in ("/", "\\"), (text, tag, to)
                assert tag != "script" or (attributes.get("src") or "").startswith("/static/"), text


async def test_in_chromium_no_hostile_text_runs_or_is_too_wide(subject: Subject) -> None:
    """Every payload, each in another frame than the one before; without the policy that would stop scripts anyway."""
    shown = TEXTS[::20]
    entries = (await newest((await subject.source()).parts, Filter())).entries
    style = f"<style>{static_text('console.css')}</style>"
    async with chromium(viewport={"width": 360, "height": 800}) as context:
        page = await context.new_page()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        for texts in (shown[at : at + 7] for at in range(0, len(shown), 7)):
            whole = [one for text in texts for one in pages_with(text, entries[-1:])]
            mains = [one[one.index("<main") : one.index("</body>")] for one in whole]
            await page.set_content(f"<!doctype html>{style}<title>safe</title>{''.join(mains)}")
            for width in (360, 1280):
                await page.set_viewport_size({"width": width, "height": 800})
                assert await page.evaluate(TOO_WIDE) == [], (width, texts[0])
            assert await page.evaluate("[document.title, window.owned ?? null]") == ["safe", None], texts[0]
        assert [url for url in asked if "evil" in url] == []


async def test_hostile_live_keys_are_shown_and_do_nothing(browser: Browser, valkey: Redis) -> None:
    for place, text in enumerate(TEXTS[::23]):
        document = attacked(json.loads(SECTIONS["sentiment"]), text)
        await valkey.set("stocks:sentiment:AAPL", json.dumps(document))
        await valkey.set(f"controls:halt:{text[:60]}", text)
        await valkey.set(f"positions:active:{text[:60]}", text)
        for path in ("/", "/symbols/AAPL", "/health")[: 3 if place == 0 else 2]:
            for tag, attributes in tags_of((await browser.get(path)).text):
                assert tag in OUR_TAGS, (text, path)
                assert not [name for name in attributes if name.startswith("on")], (text, path)
