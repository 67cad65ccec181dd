"""Steps that break off, and what must come of a breached stop all the same."""

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from redis.asyncio import Redis

from llmctx.connection.streams import read_stream
from llmctx.schema import keys

ALWAYS = 10**6


def failing(times: int, real: Callable[..., Any]) -> Callable[..., Any]:
    """A step that breaks off its first `times` times."""
    left = [times]

    def step(*args: Any, **named: Any) -> Any:
        if left[0] > 0:
            left[0] -= 1
            raise OverflowError("cannot convert Infinity to integer")
        return real(*args, **named)

    return step


def exit_of(record: Any) -> tuple[str, str, str]:
    """A verdict's action and quantity, and the guardrail that fired last."""
    verdict = record["verdict"]
    return verdict["action"], verdict["quantity"], verdict["guards"][-1]["name"]


async def exits(redis: Redis, *nameless: str) -> list[str]:
    """The kinds of the published decisions that are an exit of everything held, of a position that they name, unless
    they are those of `nameless` ticks.
    """
    found = [json.loads(entry.fields[b"decision"]) for entry in await read_stream(redis, keys.decisions(0))]
    assert [each["tick"] for each in found if each["entry_time"] is None] == list(nameless)
    return [thesis["kind"] for thesis in found if thesis["action"] == "exit" and Decimal(thesis["quantity"]) == 10]
