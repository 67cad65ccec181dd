"""Calls to an endpoint, over the default transport or over one that respx intercepts."""

import ssl
from collections.abc import Awaitable, Callable
from typing import Any

import httpx

from llmctx.decision.decision import OUTPUT
from llmctx.llm.client import EndpointClient
from llmctx.llm.completion import Completion
from tests.unit.makers import body, prompt_of

BASE_URL = "http://llm.test/v1"
KEY = "sk-very-secret"
PROMPT = prompt_of()
TLS = ssl.create_default_context()
"""Read once: a client that reads the certificates itself takes longer than a test."""
Make = Callable[..., EndpointClient]
Answered = Callable[..., Awaitable[Completion]]


async def ask(base_url: str, **settings: Any) -> Completion:
    """What becomes of one attempt at this endpoint."""
    client = EndpointClient(base_url, KEY, "asked-model", **{"max_attempts": 1} | settings)
    try:
        return await complete(client)
    finally:
        await client.aclose()


async def complete(client: EndpointClient) -> Completion:
    return await client.complete(PROMPT, OUTPUT)


def good(**headers: str) -> httpx.Response:
    return httpx.Response(200, content=body(), headers=headers)


def bad(status: int, code: str = "some_code", **headers: str) -> httpx.Response:
    return httpx.Response(status, json={"error": {"message": "no", "code": code}}, headers=headers)


def results(completion: Completion) -> list[str]:
    return [attempt.result for attempt in completion.attempts]
