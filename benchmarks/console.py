"""What a browser measures of each page of the console, and pictures of them.

    python -m benchmarks.console                                    # of a demo that it makes for this
    python -m benchmarks.console --at http://127.0.0.1:8780/        # of a console that runs
    python -m benchmarks.console --shots shots                      # with pictures: three widths, two themes

Each page is loaded several times, each in a fresh profile. Paint and long tasks are the least of these loads, because
whatever else runs on the machine only adds to them; shift and size are the most. It needs playwright and a Chromium;
the one in /usr/bin is taken if it is there.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.request import urlopen

from playwright.sync_api import Browser, sync_playwright

LOADS = 5
WIDTHS = {360: 800, 1280: 640, 2560: 1280}
"""The height of the window by its width."""
THEMES = ("light", "dark")
CHROMIUM = Path("/usr/bin/chromium")
PAINT_MS, SHIFT, TASK_MS, SIZE_KB = 200, 0.02, 50, 150
"""The limits for a page: first paint, layout shift, longest task, and size on the wire."""
_SETTLES_MS = 1500
_READ = """() => new Promise((done) => {
  let shift = 0, task = 0;
  const watch = (type, note) => new PerformanceObserver((list) => list.getEntries().forEach(note))
    .observe({ type, buffered: true });
  watch("layout-shift", (entry) => { shift += entry.value; });
  watch("longtask", (entry) => { task = Math.max(task, entry.duration); });
  setTimeout(() => {
    const loads = performance.getEntriesByType("resource").concat(performance.getEntriesByType("navigation"));
    const paint = performance.getEntriesByName("first-paint")[0];
    const size = loads.reduce((sum, entry) => sum + entry.transferSize, 0) / 1024;
    done([paint ? paint.startTime : 0, shift, task, size]);
  }, %d);
})"""


class Figures(NamedTuple):
    """A browser's measurements of a page."""

    paint_ms: float
    """Milliseconds from the request to the first paint."""
    shift: float
    """Cumulative layout shift; 0 is none."""
    task_ms: float
    """The longest task over 50 ms; 0 if there is none."""
    size_kb: float
    """Kilobytes over the wire, with style sheet and scripts."""

    @property
    def too_much(self) -> list[str]:
        """The names of the figures above their limits."""
        limits = (PAINT_MS, SHIFT, TASK_MS, SIZE_KB)
        return [name for name, value, limit in zip(self._fields, self, limits, strict=True) if value > limit]


def measure(browser: Browser, url: str, loads: int = LOADS, settles_ms: int = _SETTLES_MS) -> Figures:
    """Load a page several times, each in a fresh profile: the least paint and task, the most shift and size."""
    found = []
    for _ in range(loads):
        context = browser.new_context(viewport={"width": 1280, "height": WIDTHS[1280]})
        page = context.new_page()
        page.goto(url)
        found.append(Figures(*page.evaluate(_READ % settles_ms)))
        context.close()
    paints, shifts, tasks, sizes = zip(*found, strict=True)
    return Figures(min(paints), max(shifts), min(tasks), max(sizes))


def shoot(browser: Browser, base: str, pages: dict[str, str], folder: Path) -> None:
    """Write a picture of each page at each width and in each theme."""
    folder.mkdir(parents=True, exist_ok=True)
    for width, height in WIDTHS.items():
        for theme in THEMES:
            context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=theme)  # type: ignore[arg-type]
            for name, path in pages.items():
                page = context.new_page()
                page.goto(base + path)
                page.wait_for_timeout(300)
                page.screenshot(path=folder / f"{name}-{width}-{theme}.png")
                page.close()
            context.close()


def pages_of(base: str) -> dict[str, str]:
    """Path of each page by its name; of the records the newest exit, reduction or any is taken."""
    record = next(
        record
        for search in ("action=exit", "action=reduce", "")
        for record in _asked(base, f"decisions?limit=1&{search}")
    )
    return {
        "desk": "", "find": "find?limit=50", "decision": f"decisions/{record['address']}",
        "symbol": f"symbols/{record['symbol']}", "compare": "compare", "quality": "quality", "health": "health",
        "approvals": "approvals", "api": "api",
    }  # fmt: skip


def _asked(base: str, path: str) -> list[dict[str, Any]]:
    with urlopen(f"{base}api/v1/{path}") as answer:
        records: list[dict[str, Any]] = json.load(answer)["records"]
        return records


class DemoConsole(NamedTuple):
    """A console on a demo."""

    base: str
    """Its address."""
    pid: int
    """The id of its process."""
    state_dir: Path
    """The state directory of the demo."""


@contextmanager
def demo_console() -> Iterator[DemoConsole]:
    """A console on a demo made for this purpose; its data goes with it."""
    with tempfile.TemporaryDirectory() as folder:
        llmctx = [sys.executable, "-m", "llmctx"]
        subprocess.run([*llmctx, "demo", "--dir", "demo"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        places = {"LLMCTX_REDIS_URL": f"embedded:{folder}/demo/redis", "LLMCTX_STATE_DIR": f"{folder}/demo"}
        command = [*llmctx, "console", "--port", "0"]
        with subprocess.Popen(
            command, cwd=folder, env=os.environ | places, stdout=subprocess.PIPE, text=True
        ) as console:
            assert console.stdout is not None
            base = next(word for word in console.stdout.readline().split() if word.startswith("http://"))
            yield DemoConsole(base, console.pid, Path(folder) / "demo")
            console.send_signal(signal.SIGTERM)


def main() -> None:
    """Print the figures of every page, and take pictures if asked to; end with 1 if a figure is above its limit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--at", metavar="URL", help="the address of a console that runs")
    parser.add_argument("--loads", metavar="N", type=int, default=LOADS, help="how often each page is loaded")
    parser.add_argument("--shots", metavar="DIR", type=Path, help="the folder for pictures")
    given = parser.parse_args()
    with demo_console() if given.at is None else _same(given.at) as console, sync_playwright() as playwright:
        base = console.base
        chromium = str(CHROMIUM) if CHROMIUM.exists() else None
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        pages = pages_of(base)
        worst = [_print(name, measure(browser, base + path, given.loads)) for name, path in pages.items()]
        if given.shots is not None:
            shoot(browser, base, pages, given.shots)
        browser.close()
    sys.exit(any(worst))


@contextmanager
def _same(url: str) -> Iterator[DemoConsole]:
    yield DemoConsole(url.rstrip("/") + "/", 0, Path())


def _print(name: str, figures: Figures) -> bool:
    paint, shift, task, size = figures
    marks = f"  above the limit: {', '.join(figures.too_much)}" if figures.too_much else ""
    print(f"{name:<9} paint {paint:4.0f} ms  shift {shift:.3f}  longest task {task:3.0f} ms  {size:5.1f} KB{marks}")
    return bool(figures.too_much)


if __name__ == "__main__":
    main()
