"""`llmctx standin`: the stand-in model."""

import asyncio
from typing import Annotated

import typer

from llmctx.cli.shared.long_running import stop_signal
from llmctx.cli.shared.options import MessagesAsJson, option
from llmctx.cli.shared.output import out


def standin(
    port: Annotated[int, typer.Option(help="Port to listen on; 0 picks a free one.", min=0, max=65535)] = 8700,
    latency_ms: Annotated[int, typer.Option(help="Milliseconds to wait before each answer.", min=0)] = 0,
    fault: Annotated[
        list[str] | None,
        option(
            help="NAME or NAME=RATE; may be repeated: http_429, http_500, quota, hang, disconnect, refusal, "
            "truncated, filtered, prose, misfit, garbage, no_schema, no_temperature."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same faults.")] = 0,
    _as_json: MessagesAsJson = False,
) -> None:
    """Run the stand-in model, an endpoint that answers by rules.

    It speaks the OpenAI chat-completions protocol and answers from the facts in the prompt. It is not an LLM. It runs
    until Ctrl-C or SIGTERM.

    \b
    llmctx standin --port 8700
    llmctx standin --port 8700 --fault http_429=0.2 --fault refusal=0.05
    """
    asyncio.run(_standin(port, latency_ms, dict(_rate(text) for text in fault or []), seed))


def _rate(text: str) -> tuple[str, float]:
    name, _, rate = text.partition("=")
    try:
        value = float(rate or 1)
    except ValueError:
        value = -1
    if not 0 <= value <= 1:
        raise typer.BadParameter(f"--fault {text}: the rate must be a number from 0 to 1")
    return name, value


async def _standin(port: int, latency_ms: int, faults: dict[str, float], seed: int) -> None:
    from llmctx.llm.standin import MODEL, Standin

    async with Standin(port=port, latency_ms=latency_ms, faults=faults, seed=seed) as server:
        out.print(
            f"The stand-in model {MODEL} answers at {server.base_url} (by rules; it is not an LLM). Ctrl-C stops it."
        )
        await stop_signal().wait()
