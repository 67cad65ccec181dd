"""Make the pictures of the console that docs and README show, of a demo made for this.

    python -m benchmarks.console_pictures                   # into docs/images
    python -m benchmarks.console_pictures --to DIR

After the demo, a replay asks another prompt, and a decision is made that waits for a person, so that no page is empty.
"""

import argparse
import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

from playwright.sync_api import Browser, sync_playwright
from redis import Redis

from benchmarks.console import CHROMIUM, DemoConsole, demo_console

WIDTH, HEIGHT = 1280, 760
DARK = ("desk", "decision")
"""Pages that are shown in the dark theme as well."""
_SYMBOL, _RECORD = "BOLT", 51
_EXTREME_RSI = 79.4
"""The RSI at which the stand-in wants to close half of a long position."""
_TO_WEBP = """async (png) => {
  const image = new Image();
  image.src = "data:image/png;base64," + png;
  await image.decode();
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [image.width, image.height];
  canvas.getContext("2d").drawImage(image, 0, 0);
  return canvas.toDataURL("image/webp", 0.82).split(",")[1];
}"""


@contextmanager
def stand_in() -> Iterator[str]:
    """The address of the stand-in model."""
    command = [sys.executable, "-m", "llmctx", "standin", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield next(word for line in process.stdout for word in line.split() if word.startswith("http://"))
        process.terminate()


def fill(console: DemoConsole, endpoint: str) -> None:
    """Make the results of a replay, and a decision that waits for a person."""
    with urlopen(f"{console.base}api/v1/health") as answer:
        redis_url = json.load(answer)["status"]["url"]
    places = {
        "LLMCTX_REDIS_URL": redis_url,
        "LLMCTX_STATE_DIR": str(console.state_dir),
        "LLMCTX_LLM__BASE_URL": endpoint,
        "LLMCTX_LLM__MODEL": "llmctx-standin",
        "LLMCTX_REQUIRE_APPROVAL": json.dumps({"reduce": "1", "expires_s": 3600}),
        "LLMCTX_PEOPLE": json.dumps({"R. Meier": ["approver"]}),
    }
    results = console.state_dir / "replays" / "position-v1.jsonl"
    results.parent.mkdir()
    _llmctx(places, "replay", "limit=200", "--prompt", "position/v1", "--out", str(results))
    with Redis.from_url(redis_url) as redis:
        key = f"stocks:indicators:{_SYMBOL}"
        redis.set(key, json.dumps(json.loads(str(redis.get(key), "utf-8")) | {"rsi_14": _EXTREME_RSI}))
    _llmctx(places, "decide", _SYMBOL)


def _llmctx(places: Mapping[str, str], *arguments: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "llmctx", *arguments], env=os.environ | places, check=True, stdout=subprocess.DEVNULL
    )


def shoot(browser: Browser, base: str, folder: Path) -> None:
    """Write a picture of each of the eight pages."""
    pages = {
        "desk": "", "symbol": f"symbols/{_SYMBOL}", "decision": f"decisions/{_RECORD}", "find": "find?q=reduce",
        "compare": "compare/page?a=recorded&b=position-v1.jsonl", "quality": "quality", "health": "health",
        "approvals": "approvals",
    }  # fmt: skip
    for name, path in pages.items():
        for theme in ("light", "dark") if name in DARK else ("light",):
            context = browser.new_context(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme=theme)
            page = context.new_page()
            page.goto(base + path)
            page.wait_for_timeout(500)
            content = int(page.evaluate("document.querySelector('main').getBoundingClientRect().bottom"))
            page.set_viewport_size({"width": WIDTH, "height": min(HEIGHT, content)})
            picture = page.screenshot()
            blank = context.new_page()  # the console's own policy lets no page of it read data: addresses
            encoded = blank.evaluate(_TO_WEBP, base64.b64encode(picture).decode())
            file = folder / f"console-{name}{'-dark' if theme == 'dark' else ''}.webp"
            file.write_bytes(base64.b64decode(encoded))
            print(f"{file}  {file.stat().st_size // 1024} KB")
            context.close()


def main() -> None:
    """Make the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--to", metavar="DIR", type=Path, default=Path("docs/images"), help="the folder")
    folder = parser.parse_args().to.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    with demo_console() as console, stand_in() as endpoint, sync_playwright() as playwright:
        fill(console, endpoint)
        chromium = str(CHROMIUM) if CHROMIUM.exists() else None
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        shoot(browser, console.base, folder)
        browser.close()


if __name__ == "__main__":
    main()
