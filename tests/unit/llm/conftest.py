import asyncio
from typing import Any

import pytest


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
