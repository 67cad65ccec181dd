"""What the tests of the console share: a signed trail with an honest, a wrong and a hostile answer, and the console on it."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import pytest
from redis.asyncio import Redis

from llmctx.assets import asset
from llmctx.console.access import Bind
from llmctx.console.server import serve_console
from llmctx.console.subject import Live, Subject, live_subject
from llmctx.context.read_rules import ReadRules
from llmctx.llm.price import Price
from llmctx.ops.doctor.subject import Places
from llmctx.testing.completers import Scripted
from llmctx.trail.log.instance import require_instance
from llmctx.trail.proof.key import read_public_key
from tests.integration.conftest import NOW, Prepared, live, serving
from tests.integration.test_prove import sign
from tests.unit.makers import answer
from tests.unit.prompt.test_hostile_shapes import SHAPES

HOSTILE = (
    "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
    "'\"></style><svg onload=document.title='owned'>\u202eevil\u2066{{7*7}}</script><b>\x1b[2J"
)
"""A text that would act if a page did not escape it."""
HONEST, WRONG, EVIL = "1", "3", "4"
"""The addresses of the answers; 0 and 2 are notices of the trail itself."""


class Answer(NamedTuple):
    """What came of a request."""

    status: int
    """Its status."""
    headers: Mapping[str, str]
    """Its headers."""
    text: str
    """Its body."""

    @property
    def document(self) -> Any:
        """Its body as JSON."""
        return json.loads(self.text)


class Browser:
    """Asks a console."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url = url.rstrip("/")
        """The console's address, without the last slash."""
        self.session = session
        """The client."""

    async def get(self, path: str, **headers: str) -> Answer:
        """Ask for a page; redirects are not followed."""
        return await self.ask("GET", path, None, **headers)

    async def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        """Send a request."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        url = self.url + path
        sending = self.session.request(method, url, data=body, headers=sent, allow_redirects=False, ssl=False)
        async with sending as response:
            return Answer(
                response.status,
                {name.lower(): value for name, value in response.headers.items()},
                await response.text(),
            )


async def make_trail(redis: Redis, url: str, state_dir: Path) -> None:
    """Three records: an honest hold, an exit with a wrong number, and an answer full of markup."""
    await redis.mset(live("AAPL") | live("MSFT", note=HOSTILE))
    texts = (HOSTILE, *(str(shape.values[0]) for shape in SHAPES))
    news = [{"headline": text, "source": text, "url": "javascript:alert(1)", "timestamp": NOW} for text in texts]
    await redis.set("stocks:sentiment:MSFT", json.dumps({"news": news, "timestamp": NOW}))
    said = "Price 100.0 [price.price.last] is above the stop 90.0 [position.stop_loss]."
    wrong = "Price 123.45 [price.price.last] is below the stop 90.0 [position.stop_loss]."
    shown = [{"path": "price.price.last", "value": "100.0", "reading": "between stop and target"}]
    answers = (
        answer(action="hold", reasoning=said, evidence=shown),
        answer(action="exit", reasoning=wrong),
        answer(action="hold", reasoning=f"{HOSTILE} 90.0 [position.stop_loss]", invalidation=HOSTILE),
    )
    async with serving(redis, url, state_dir, Scripted(*answers)) as running:
        for number, symbol in enumerate(("AAPL", "AAPL", "MSFT")):
            await running.decide(redis, f"t{number}<b>", symbol)
    await sign(redis, state_dir)
    for at, close in ((0, 100), (60_000, 101), (120_000, 99)):
        await redis.xadd("stocks:bars:AAPL", {"close": close}, id=f"{1772463600000 + at}-0")


@pytest.fixture
async def subject(valkey: Redis, valkey_url: str, tmp_path: Path, prepared: Prepared) -> Subject:
    """The trail as a console shows it."""
    state_dir = tmp_path / "var"
    await prepared.once("console", valkey, tmp_path, partial(make_trail, valkey, valkey_url, state_dir))
    places = Places(state_dir, asset("redis.conf"), tmp_path / "backups", asset("prompts"))
    system = Live(valkey, valkey_url, await require_instance(valkey), ReadRules(), places)
    return live_subject(system, prices={"scripted": Price(input=1, output=1)}, replays=tmp_path / "replays")


@asynccontextmanager
async def opened(subject: Subject, bind: Bind | None = None, state_dir: Path | None = None) -> AsyncIterator[Browser]:
    """A console, and a client of it."""
    if state_dir is None:
        assert subject.live is not None
        state_dir = subject.live.places.state_dir
    async with (
        serve_console(subject, bind or Bind(), state_dir) as url,
        aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session,
    ):
        yield Browser(url, session)


@pytest.fixture
async def browser(subject: Subject) -> AsyncIterator[Browser]:
    """A read-only console on the trail."""
    async with opened(subject) as asking:
        yield asking


def public_key(subject: Subject) -> str:
    """The public key of the trail's notary."""
    assert subject.live is not None
    key = read_public_key(subject.live.places.state_dir, subject.live.instance.id)
    assert key is not None
    return key.text
