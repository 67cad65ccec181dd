"""Each of 966 hostile texts in every place of every page: no script runs, no structure breaks, nothing is too wide."""

import json
from collections.abc import Collection, Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from llmctx.console.api_models import StatusAnswer
from llmctx.console.approvals import Waiting
from llmctx.console.chart import draw
from llmctx.console.desk import Desk, PositionRow
from llmctx.console.fills import Fill
from llmctx.console.headlines import Headline
from llmctx.console.rendering import render, static_text
from llmctx.console.story import Story, brief_of, known_of
from llmctx.console.subject import Subject
from llmctx.console.thesis import turns_of
from llmctx.replay.answer import Answer
from llmctx.replay.compare import Comparison, compare_results
from llmctx.replay.page import Served, render_page
from llmctx.replay.plan import Plan
from llmctx.replay.results import ResultsFile
from llmctx.replay.run import Replay
from llmctx.trail.log.entry import Entry
from llmctx.trail.source.filter import Filter
from llmctx.trail.source.lookup import newest
from tests.integration.console.conftest import HOSTILE, Browser
from tests.integration.console.hostile import TEXTS
from tests.integration.console.test_browser import chromium
from tests.integration.console.test_pages import tags_of
from tests.unit.context.scene import TEXTS as SECTIONS
from tests.unit.context.scene import package_of
from tests.unit.replay.asking import Model
from tests.unit.replay.cases import blobs, case

pytestmark = [pytest.mark.more, pytest.mark.timeout(900)]

TOO_WIDE = """() => document.documentElement.scrollWidth <= innerWidth ? [] : [...document.querySelectorAll("main *")]
  .filter((one) => !one.children.length && one.getBoundingClientRect().right > innerWidth && !one.closest(".scroll, pre, svg"))
  .map((one) => one.parentElement.outerHTML.slice(0, 90) + " | " + [...(one.closest("tr")?.cells || [])].map((cell) => cell.offsetWidth))
  .slice(0, 1)"""
"""What sticks out of the page."""
AT_MS = 1772463600000
_SERVED = Served("/static/comparison.css", (("llmctx", "/"),))
KEPT = ("side", "symbol")
FILE = {"policy": "default-src 'none'", "style": "", "scripts": [], "created": AT_MS}
"""What a report has beyond what it shows."""
OUR_TAGS = {
    "a", "article", "blockquote", "br", "button", "circle", "code", "dd", "del", "details", "div", "dl", "dt", "figure",
    "figcaption", "form", "h1", "h2", "header", "input", "ins", "label", "li", "line", "ol", "option", "p", "path", "polyline",
    "pre", "q", "rect", "section", "select", "span", "strong", "summary", "svg", "table", "tbody", "td", "text", "th", "thead",
    "time", "title", "tr", "ul",
    "html", "head", "meta", "link", "script", "style", "body", "main", "nav", "noscript", "footer",
}  # fmt: skip


def attacked(value: Any, text: str) -> Any:
    """The same value with this text in the place of every text."""
    if isinstance(value, dict):
        return {name: item if name in KEPT else attacked(item, text) for name, item in value.items()}
    if isinstance(value, list):
        return [attacked(item, text) for item in value]
    if isinstance(value, tuple):
        made = [attacked(item, text) for item in value]
        return type(value)(*made) if hasattr(value, "_fields") else tuple(made)
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
    head = StatusAnswer(
        positions=1, backlog=1, records=1, records_last_minute=1, signed_at_ms=AT_MS, unsigned_records=1, budget=text,
        calls_refused=1, halted=[text, text],
    )  # fmt: skip
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
        receipt = {"index": 1, "size": 2, "proof": [text], "checkpoint": text, "leaf": text, "origin": text}
        kept = {"receipt": receipt, "pieces": {"snapshot": text, text: {"base64": text}}}
        yield render("report", standalone=True, **story | {"others": [], "after": []}, **proof | kept, **FILE)
    counts = {"actions": [(text, 1)], "kinds": [(text, 1), ("failed", 2)], "guards": [(text, 1)], "symbols": [text]}
    proofs = {"receipts": [receipt], "hashes": ["00"], "signed": text, "unsigned": text}
    yield render("day_report", day=text, rows=briefs, **counts, **proofs, **FILE)
    yield render("error", what=text, do=text, **layout)
    yield render("sign_in", to=text, wrong=True, **layout)


async def test_no_text_of_966_gets_out_of_its_place(subject: Subject) -> None:
    assert len(TEXTS) == len(set(TEXTS)) == 966
    entries = (await newest((await subject.source()).parts, Filter())).entries
    for text in TEXTS:
        for page in pages_with(text, entries[-1:]):
            check_structure(page, text)


def check_structure(page: str, text: str, ours: Collection[str] = OUR_TAGS) -> None:
    """Fail if a page with this text has a tag or an attribute that is not the console's."""
    for tag, attributes in tags_of(page):
        assert tag in ours, (text, tag)
        assert not [name for name in attributes if name.startswith("on")], (text, tag)
        for name in ("href", "src", "action", "formaction", "data"):
            to = attributes.get(name) or "/"
            assert to[:1] in "/#", (text, tag, to)
            assert to[1:2] not in ("/", "\\"), (text, tag, to)
        is_kept = attributes.get("type") == "application/json"
        assert tag != "script" or is_kept or (attributes.get("src") or "").startswith("/static/"), text


@pytest.fixture
async def compared(tmp_path: Path) -> Comparison:
    """A comparison with a flip and with an answer that differs otherwise."""
    with ResultsFile(tmp_path / "b.jsonl", {"mode": "prompt"}) as file:
        model = Model(lambda _: {"action": "exit", "reasoning": HOSTILE})
        await Replay(Plan(), blobs(), model, file).run([case(0), case(1)])
    return compare_results("recorded", str(tmp_path / "b.jsonl"))[0]


def comparison_with(text: str, compared: Comparison, served: Served | None = None) -> str:
    """The page of a comparison with this text in every place that an answer, a prompt or a name can fill."""

    def answer(found: Answer) -> Answer:
        words = {"reasoning": text, "invalidation": text, "evidence": [{"path": text, "value": text, "reading": text}]}
        return found._replace(
            template=text, requested=text, served=text, fingerprint=text, detail=text, text=text,
            code=text, messages=((text, text),), parameters={text: text},
            decision=(found.decision or {}) | words, verdict=found.verdict | {"reason": text},
            grounding=None if found.grounding is None else attacked(found.grounding, text),
        )  # fmt: skip

    pairs = [
        pair._replace(result=replace(pair.result, symbol=text, origin=text), a=answer(pair.a), b=answer(pair.b))
        for pair in compared.pairs
    ]
    other = compared._replace(
        a=compared.a._replace(name=text),
        b=compared.b._replace(name=text),
        pairs=pairs,
        blame={text: 2},
        flip_blame={text: 1},
        limits=attacked(compared.limits, text),
    )
    return render_page(other, {text: {text: text, "mode": text}}, served=served)


async def test_no_text_of_966_gets_out_of_its_place_in_a_comparison(compared: Comparison) -> None:
    ours = {tag for tag, _ in tags_of(comparison_with("harmless", compared, _SERVED))}
    for text in TEXTS:
        check_structure(comparison_with(text, compared, _SERVED), text, ours)


async def test_in_chromium_no_hostile_text_runs_or_is_too_wide(subject: Subject, compared: Comparison) -> None:
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
        for text in shown:
            await page.set_content(comparison_with(text, compared))
            for width in (360, 1280):
                await page.set_viewport_size({"width": width, "height": 800})
                assert await page.evaluate(TOO_WIDE) == [], (width, text)
            assert await page.evaluate("window.owned ?? null") is None, text
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
