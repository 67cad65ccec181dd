"""Screenshots of every page of a console, at three widths and in two themes, with what the browser measured.

    python benchmarks/console_screenshots.py http://127.0.0.1:8780/ shots --record 12 --symbol ACME

It needs playwright and a Chromium; the one in /usr/bin is taken if it is there.
"""

import argparse
from functools import partial
from pathlib import Path

from playwright.sync_api import Browser, Error, sync_playwright

WIDTHS = (360, 1280, 2560)
THEMES = ("light", "dark")
CHROMIUM = Path("/usr/bin/chromium")
MEASURE = """() => new Promise((done) => {
  let shift = 0, longest = 0;
  new PerformanceObserver((list) => { for (const entry of list.getEntries()) shift += entry.value; })
    .observe({ type: "layout-shift", buffered: true });
  const lengthen = (entry) => { longest = Math.max(longest, entry.duration); };
  new PerformanceObserver((list) => { list.getEntries().forEach(lengthen); })
    .observe({ type: "longtask", buffered: true });
  setTimeout(() => {
    const paint = performance.getEntriesByName("first-contentful-paint")[0];
    const bytes = performance.getEntriesByType("resource").concat(performance.getEntriesByType("navigation"))
      .reduce((sum, entry) => sum + entry.transferSize, 0);
    const wide = document.documentElement.scrollWidth - innerWidth;
    done({ paint: paint ? paint.startTime : 0, shift, longest, bytes, wide });
  }, 1500);
})"""


def pages_of(record: str, symbol: str) -> dict[str, str]:
    """Path of each page by its name."""
    return {
        "desk": "", "find": "find", "decision": f"decisions/{record}", "symbol": f"symbols/{symbol}",
        "compare": "compare", "quality": "quality", "health": "health", "api": "api",
    }  # fmt: skip


def note(errors: list[str], error: Error) -> None:
    """Keep what a script of a page raised."""
    errors.append(str(error))


def shoot(browser: Browser, base: str, folder: Path, pages: dict[str, str]) -> None:
    """Write a picture of each page at each width and in each theme, and print what was measured."""
    for width in WIDTHS:
        for theme in THEMES:
            context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=theme)  # type: ignore[arg-type]
            for name, path in pages.items():
                page = context.new_page()
                errors: list[str] = []
                page.on("pageerror", partial(note, errors))
                page.goto(base + path)
                measured = page.evaluate(MEASURE)
                page.screenshot(path=folder / f"{name}-{width}-{theme}.png", full_page=name != "find")
                print(
                    f"{name:<9} {width:>4} {theme:<5} paint {measured['paint']:.0f} ms, shift {measured['shift']:.3f}, "
                    f"longest task {measured['longest']:.0f} ms, {measured['bytes'] / 1024:.0f} KB, "
                    f"{measured['wide']} px too wide {' '.join(errors)}"
                )
                page.close()
            context.close()


def main() -> None:
    """Take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base", help="the console's address")
    parser.add_argument("folder", type=Path, help="where the pictures go")
    parser.add_argument("--record", default="0", help="the record of the decision page")
    parser.add_argument("--symbol", default="ACME", help="the symbol of the symbol page")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        chromium = str(CHROMIUM) if CHROMIUM.exists() else None
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        shoot(browser, given.base, given.folder, pages_of(given.record, given.symbol))
        browser.close()


if __name__ == "__main__":
    main()
