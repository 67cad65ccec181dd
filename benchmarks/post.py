"""One completion over each transport against a bare SDK call, in turns within one run."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable

import openai

from benchmarks.stage import SYMBOLS, Stage, stage
from llmctx.assets import asset
from llmctx.context.package import build_package
from llmctx.context.read_rules import ReadRules
from llmctx.context.reader import read_snapshot
from llmctx.decision.decision import OUTPUT
from llmctx.llm.client import EndpointClient
from llmctx.llm.standin import MODEL
from llmctx.prompt.render import Prompt, render
from llmctx.prompt.template import load_template

IN_FLIGHT = 32
CALLS = 200
ROUNDS = 8


async def measure(stage: Stage) -> dict[str, str]:
    """post_cpu_ratio: CPU of a completion over aiohttp / CPU of a bare chat.completions.create."""
    package = build_package(await read_snapshot(stage.redis, SYMBOLS[0], 0, ReadRules()))
    prompt = render(load_template(asset("prompts"), "position"), package)
    sdk = openai.AsyncOpenAI(base_url=stage.base_url, api_key="none", max_retries=0)
    default = EndpointClient(stage.base_url, "none", MODEL)
    plan = default.plan(prompt.parameters, OUTPUT)
    body = json.loads(plan.body(plan.messages(prompt)))
    through_httpx = EndpointClient(
        stage.base_url, "none", MODEL, http_client=openai.DefaultAsyncHttpxClient(), trust_env=False
    )
    calls: dict[str, Callable[[], Awaitable[object]]] = {
        "chat.completions.create": lambda: sdk.chat.completions.create(**body),
        "completion over aiohttp": lambda: _complete(default, prompt),
        "completion over the SDK's default client": lambda: _complete(through_httpx, prompt),
    }
    cpu_s = dict.fromkeys(calls, 0.0)
    for number in range(ROUNDS + 1):
        for name, call in calls.items():
            began = time.process_time()
            await _call_all(call)
            if number > 0:  # the first round opens connections
                cpu_s[name] += time.process_time() - began
    await asyncio.gather(sdk.close(), default.aclose(), through_httpx.aclose())
    for name, seconds in cpu_s.items():
        print(f"CPU of a {name}: {seconds / ROUNDS / CALLS * 1e3:.2f} ms")
    bare, over_aiohttp, _ = cpu_s.values()
    return {"post_cpu_ratio": f"{over_aiohttp / bare:.2f} x"}


async def _complete(client: EndpointClient, prompt: Prompt) -> None:
    completion = await client.complete(prompt, OUTPUT)
    assert completion.content is not None, completion.detail


async def _call_all(call: Callable[[], Awaitable[object]]) -> None:
    room = asyncio.Semaphore(IN_FLIGHT)

    async def one() -> None:
        async with room:
            await call()

    await asyncio.gather(*(one() for _ in range(CALLS)))


async def main() -> None:
    """Measure on a stage of its own: `python -m benchmarks.post`."""
    async with stage() as where:
        for name, value in (await measure(where)).items():
            print(f"bench {name} {value}")


if __name__ == "__main__":
    asyncio.run(main())
