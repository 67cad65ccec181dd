"""The console in a real Chromium: the proof, what moves, what a stranger's text does, and what can be read by whom."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import BrowserContext, Page, Route, async_playwright
from redis.asyncio import Redis

from llmctx.console.access import Bind
from llmctx.console.report import day_report, report_of
from llmctx.console.subject import Subject
from llmctx.trail.source.filter import Filter
from llmctx.trail.source.lookup import newest, read_record
from tests.integration.console.conftest import EVIL, HONEST, WRONG, Browser, opened, public_key
from tests.integration.console.test_pages import PAGES
from tests.integration.program import until

pytestmark = pytest.mark.more

CHROMIUM = "/usr/bin/chromium"
OTHER_KEY = "llmctx/other+74ee65f5+AVAtMb1Wl1fKaKfMFZ6wz6y1aYVqNWMMSEmzCwqMvQlq"


@asynccontextmanager
async def chromium(**options: Any) -> AsyncIterator[BrowserContext]:
    """A fresh profile of a headless Chromium."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield await browser.new_context(**options)
        await browser.close()


async def recompute(page: Page, key: str) -> str:
    """Paste a key, and return whether the page says that the proof holds."""
    await page.fill("input[name=key]", key)
    await page.click("text=recompute")
    await page.wait_for_selector("[data-verified]")
    verified = await page.get_attribute("[data-proof]", "data-verified")
    await page.eval_on_selector("[data-proof]", "box => box.removeAttribute('data-verified')")
    return str(verified)


async def answer_with(text: str, route: Route) -> None:
    """Answer a request of the page in the console's place."""
    await route.fulfill(body=text, content_type="application/json")


async def test_the_browser_recomputes_the_proof_and_finds_each_forgery(browser: Browser, subject: Subject) -> None:
    key = public_key(subject)
    async with chromium() as context:
        page = await context.new_page()
        await page.goto(f"{browser.url}/decisions/{WRONG}")
        assert await recompute(page, key) == "yes"
        assert "exit" in await page.inner_text(".steps")
        assert await recompute(page, OTHER_KEY) == "no"
        assert await recompute(page, key[:-8] + "AAAAAAA=") == "no"
        receipt = (await browser.get(f"/api/v1/decisions/{WRONG}/receipt")).document
        forgeries = {
            "leaf": receipt["leaf"].replace('"exit"', '"hold"'),
            "proof": ["00" * 32, *receipt["proof"][1:]],
            "checkpoint": receipt["checkpoint"].replace("\ntime ", "\ntime 1"),
            "index": receipt["index"] - 1,
        }
        for name, forged in forgeries.items():
            assert forged != receipt[name]
            await page.route("**/receipt", partial(answer_with, json.dumps(receipt | {name: forged})))
            assert await recompute(page, key) == "no", name
            await page.unroute("**/receipt")


async def test_a_report_proves_itself_from_a_file(subject: Subject, tmp_path: Path) -> None:
    source = await subject.source()
    entries = (await newest(source.parts, Filter())).entries
    one, day = tmp_path / "one.html", tmp_path / "day.html"
    one.write_text(await report_of(subject, source, await read_record(source, EVIL)), encoding="utf-8")
    day.write_text(await day_report(subject, source, entries, "2026-03-02"), encoding="utf-8")
    async with chromium(offline=True) as context:
        page = await context.new_page()
        errors: list[str] = []
        page.on("console", lambda message: errors.append(message.text))
        for file in (one, day):
            await page.goto(file.as_uri())
            assert await recompute(page, public_key(subject)) == "yes"
            assert "owned" not in await page.title()
        assert "All 5 records" in await page.inner_text(".steps")
        day.write_text(day.read_text(encoding="utf-8").replace("123.45", "123.46"), encoding="utf-8")
        await page.goto(day.as_uri())
        assert await recompute(page, public_key(subject)) == "no"
        assert errors == []


async def test_the_desk_moves_without_a_reload(browser: Browser, valkey: Redis) -> None:
    async with chromium() as context:
        page = await context.new_page()
        await page.goto(browser.url)
        cell = '[data-key=AAPL] [data-h="last"]'
        await page.wait_for_selector("text=live,")
        price = json.loads(await valkey.get("stocks:price:AAPL") or "")
        price["price"]["last"] = 104.5
        await valkey.set("stocks:price:AAPL", json.dumps(price))
        await page.wait_for_selector(f"{cell}:text-is('104.5')", timeout=20_000)
        assert "+45.00" in await page.inner_text('[data-key=AAPL] [data-h="P&L"]')


async def test_no_text_of_a_stranger_runs_and_no_page_asks_elsewhere(browser: Browser) -> None:
    async with chromium() as context:
        page = await context.new_page()
        asked: set[str] = set()
        refused: list[str] = []
        page.on("request", lambda request: asked.add(request.url))
        page.on("console", lambda message: refused.append(message.text) if "Content Security" in message.text else None)
        for path in PAGES:
            if path.endswith("/report"):  # a download
                continue
            await page.goto(browser.url + path)
            await page.wait_for_load_state("load")
            assert await page.title() != "owned", path
            wide = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
            assert wide <= 0, path
        assert {url for url in asked if not url.startswith(browser.url)} == set()
        assert refused == []


async def test_everything_can_be_read_without_scripts(browser: Browser) -> None:
    async with chromium(java_script_enabled=False) as context:
        page = await context.new_page()
        await page.goto(browser.url)
        assert "AAPL" in await page.inner_text("main")
        await page.goto(f"{browser.url}/decisions/{HONEST}")
        text = await page.inner_text("main")
        for heading in ("Why asked", "Known", "Asked", "Answered", "Guards", "Took", "Proof"):
            assert heading in text
        await page.click("summary:has-text('price')")
        assert await page.is_visible("text=price.price.last")
        assert not await page.is_visible("input[name=key]")
        wanted_in = {
            "quality": "In use", "health": "Partitions and leases", "compare": "replay", "symbols/AAPL": "Thesis",
            "find?q=AAPL": "newest first", "approvals": "Nothing waits",
        }  # fmt: skip
        for path, wanted in wanted_in.items():
            await page.goto(f"{browser.url}/{path}")
            assert wanted in await page.inner_text("main")


async def test_a_report_is_read_without_scripts_and_offers_no_proof_that_it_cannot_make(
    subject: Subject, tmp_path: Path
) -> None:
    source = await subject.source()
    entries = (await newest(source.parts, Filter())).entries
    files = {"one": await report_of(subject, source, await read_record(source, EVIL))}
    files["day"] = await day_report(subject, source, entries, "2026-03-02")
    async with chromium(java_script_enabled=False, offline=True) as context:
        page = await context.new_page()
        for name, text in files.items():
            file = tmp_path / f"{name}.html"
            file.write_text(text, encoding="utf-8")
            await page.goto(file.as_uri())
            assert "MSFT" in await page.inner_text("main")
            assert "in the checkpoint over" in await page.inner_text("main")
            assert not await page.is_visible("input[name=key]")
            assert "owned" not in await page.title()


async def test_the_chart_is_read_by_keyboard(browser: Browser) -> None:
    async with chromium() as context:
        page = await context.new_page()
        await page.goto(f"{browser.url}/symbols/AAPL")
        await page.focus("svg.chart a[tabindex='0']")
        assert (await page.inner_text("#readout")).startswith(WRONG)
        await page.keyboard.press("ArrowLeft")
        assert (await page.inner_text("#readout")).startswith(HONEST)
        await page.keyboard.press("Enter")
        await page.wait_for_url(f"**/decisions/{HONEST}")


async def test_a_citation_opens_its_fact(browser: Browser) -> None:
    async with chromium() as context:
        page = await context.new_page()
        await page.goto(f"{browser.url}/decisions/{HONEST}")
        assert not await page.is_visible("td:has-text('position.stop_loss')")
        await page.click("a:text('[position.stop_loss]')")
        await until(lambda: page.is_visible("td:has-text('position.stop_loss')"))


async def test_where_the_browser_has_no_cryptography_the_page_says_that_it_cannot_prove(subject: Subject) -> None:
    async with opened(subject, Bind(names=("desk.example",))) as browser, async_playwright() as playwright:
        args = ["--no-sandbox", "--host-resolver-rules=MAP desk.example 127.0.0.1"]
        chrome = await playwright.chromium.launch(executable_path=CHROMIUM, args=args)
        page = await chrome.new_page()
        await page.goto(f"{browser.url.replace('127.0.0.1', 'desk.example')}/decisions/{HONEST}")
        await page.wait_for_selector("text=the browser offers no cryptography here")
        assert not await page.is_visible("input[name=key]")
        await chrome.close()
