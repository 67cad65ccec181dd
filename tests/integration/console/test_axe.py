"""Every page in a real Chromium, in both themes and at three widths: axe finds nothing, nothing moves, little is sent."""

import asyncio

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.sync_api import sync_playwright

from benchmarks.console import SHIFT, SIZE_KB, WIDTHS, measure
from tests.integration.console.conftest import EVIL, WRONG, Browser
from tests.integration.console.test_browser import CHROMIUM, chromium

pytestmark = pytest.mark.more

PAGES = (
    "/", "/find", f"/decisions/{WRONG}", f"/decisions/{EVIL}", "/symbols/AAPL", "/symbols/MSFT", "/compare", "/quality",
    "/health", "/api", "/approvals", "/sign-in", "/no/such/page",
)  # fmt: skip
OPEN_ALL = "() => document.querySelectorAll('details').forEach((each) => { each.open = true; })"


@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 360)])
async def test_axe_finds_no_fault_and_nothing_is_too_wide(browser: Browser, theme: str, width: int) -> None:
    async with chromium(color_scheme=theme, viewport={"width": width, "height": 900}) as context:
        page = await context.new_page()
        for path in PAGES:
            await page.set_viewport_size({"width": width, "height": 900})
            await page.goto(browser.url + path)
            await page.evaluate(OPEN_ALL)
            found = (await Axe().run(page)).response["violations"]
            assert [(fault["id"], fault["nodes"][0]["html"]) for fault in found] == [], path
            for other in WIDTHS:
                await page.set_viewport_size({"width": other, "height": 900})
                assert await page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, (path, other)


async def test_no_page_shifts_or_is_large(browser: Browser) -> None:
    """Size and shift do not depend on how busy the machine is; `python -m benchmarks.console` measures the rest."""

    def measured() -> None:
        with sync_playwright() as playwright:
            chrome = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            for path in PAGES:
                figures = measure(chrome, browser.url + path, loads=1, settles_ms=500)
                assert figures.shift <= SHIFT, path
                assert figures.size_kb <= SIZE_KB, path
            chrome.close()

    await asyncio.to_thread(measured)
