import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
import respx

from llmctx.llm.client import EndpointClient
from llmctx.llm.completion import Completion
from tests.unit.llm.calls import BASE_URL, KEY, TLS, Answered, Make, complete


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that were waited for, each of which passes at once."""
    asked: list[float] = []
    sleep = asyncio.sleep

    async def at_once(seconds: float, result: Any = None) -> Any:
        asked.append(seconds)
        return await sleep(0, result)

    monkeypatch.setattr(asyncio, "sleep", at_once)
    return asked


@pytest.fixture(autouse=True)
def _no_outer_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Proxies of the machine that runs the tests must not reach them."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def wire() -> Iterator[respx.Route]:
    """What would go out to the endpoint."""
    with respx.mock(assert_all_called=False) as mock:
        yield mock.post(f"{BASE_URL}/chat/completions")


@pytest.fixture
async def make() -> AsyncIterator[Make]:
    """Makes clients whose transport can be intercepted; closes them."""
    clients = []

    def _make(base_url: str | None = BASE_URL, **settings: Any) -> EndpointClient:
        client = EndpointClient(base_url, KEY, "asked-model", http_client=httpx.AsyncClient(verify=TLS), **settings)
        clients.append(client)
        return client

    yield _make
    for client in clients:
        await client.aclose()


@pytest.fixture
def answered(wire: respx.Route, make: Make) -> Answered:
    """What becomes of a call that these replies or errors are given to in turn; one alone is given each time."""

    async def call(*replies: httpx.Response | Exception, **settings: Any) -> Completion:
        one, *others = replies
        if others:
            wire.mock(side_effect=replies)
        elif isinstance(one, httpx.Response):
            wire.mock(return_value=one)
        else:
            wire.mock(side_effect=one)
        return await complete(make(**settings))

    return call
