"""A symbol's page in a real Chromium: news, fills and the thesis on it, and its sections as they change."""

import json

import pytest
from redis.asyncio import Redis

from llmctx.console.subject import Subject
from tests.integration.conftest import ByRules, serving
from tests.integration.console.conftest import HOSTILE, Browser
from tests.integration.console.test_browser import chromium
from tests.integration.program import until

pytestmark = pytest.mark.more


async def test_news_fills_and_stops_stand_on_the_chart_and_every_one_in_words_too(
    browser: Browser, subject: Subject, valkey: Redis, valkey_url: str
) -> None:
    at = ["2026-03-02T15:00:30Z", "2026-03-02T15:01:30Z"]
    news = [
        {"headline": text, "source": "wire", "url": None, "timestamp": time}
        for text, time in zip(("Results", HOSTILE), at, strict=True)
    ]
    document = {
        "sentiment_score": 0.1,
        "sentiment_label": "neutral",
        "news_count": 2,
        "latest_news": news,
        "timestamp": at[1],
    }
    await valkey.set("stocks:sentiment:AAPL", json.dumps(document))
    assert subject.live is not None
    fill = {"id": "e1", "symbol": "AAPL", "status": "filled", "at": at[0], "side": "buy", "quantity": 3, "price": 100.5}
    await valkey.xadd("effects:{0}", {"effect": json.dumps(fill)})
    async with serving(valkey, valkey_url, subject.live.places.state_dir, ByRules()) as running:
        await running.decide(valkey, "late", "AAPL")

        async def recorded() -> bool:
            return bool((await browser.get("/api/v1/decisions?kind=effect")).document["records"])

        await until(recorded)
    async with chromium() as context:
        page = await context.new_page()
        await page.goto(f"{browser.url}/symbols/AAPL")
        assert await page.locator("svg .fill title").all_text_contents() == ["buy 3 at 100.5, 2026-03-02T15:00:30.000Z"]
        assert await page.locator("svg .news").all_text_contents() == ["1", "2"]
        listed = await page.locator("ol.news li").all_inner_texts()
        assert ["Results" in listed[1], "<script>" in listed[0]] == [True, True]
        assert await page.locator("svg .outside").all_text_contents() == [
            "stop 90, below what is drawn",
            "target 120, above what is drawn",
        ]
        turns = await page.locator(".turns li").all_inner_texts()
        assert ["hold → exit" in turn for turn in turns][-2:] == [True, False]
        assert await page.title() != "owned"


async def test_sections_change_without_a_reload_and_the_reader_stays_where_they_are(
    browser: Browser, valkey: Redis
) -> None:
    async with chromium() as context:
        page = await context.new_page()
        await page.goto(f"{browser.url}/symbols/AAPL")
        await page.wait_for_selector("text=live,")
        section = page.locator("[data-key='section price']")
        await section.locator("summary").click()
        price = json.loads(await valkey.get("stocks:price:AAPL") or "")
        price["price"]["last"] = 104.5
        await valkey.set("stocks:price:AAPL", json.dumps(price))
        await page.wait_for_selector("[data-key=now] [data-h=last]:text-is('104.5')", timeout=20_000)
        assert await section.get_attribute("open") is not None
        assert await page.evaluate("document.activeElement.closest('[data-key]').dataset.key") == "section price"
        await valkey.delete("stocks:indicators:AAPL")
        await page.wait_for_selector("[data-key='section indicators'] .missing", timeout=20_000)


async def test_without_scripts_everything_of_a_symbol_can_be_read(browser: Browser) -> None:
    async with chromium(java_script_enabled=False) as context:
        page = await context.new_page()
        await page.goto(f"{browser.url}/symbols/AAPL")
        for heading in ("Thesis and how it changed", "Known now", "Records, newest first"):
            assert heading in await page.inner_text("main")
