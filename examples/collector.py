"""A collector: trades from a websocket become the live price of each symbol, with a plain SET.

    python examples/collector.py wss://stream.example/trades redis://127.0.0.1:6379/0

Each message is {"s": "BTC/USDT:USDT", "p": "100500.5", "q": "0.01", "T": 1772800000123}: symbol, price, size, and time
in milliseconds. It needs `pip install redis websockets`, and nothing of llmctx: a collector only writes the keys that
`llmctx schema` lists.
"""

import asyncio
import json
import sys
from datetime import UTC, datetime
from typing import Any

import redis.asyncio as redis
from websockets.asyncio.client import connect

DAY_S = 86_400


def updated(session: dict[str, float], price: float, size: float) -> dict[str, float]:
    """The session with one more trade; the first trade opens it."""
    first = session or {"open": price, "high": price, "low": price, "volume": 0.0}
    high, low = max(first["high"], price), min(first["low"], price)
    return {**first, "last": price, "high": high, "low": low, "volume": first["volume"] + size}


async def collect(source: str, url: str) -> None:
    """Write the price of each symbol until the source ends; reconnecting is up to whoever runs it."""
    sessions: dict[tuple[str, str], dict[str, float]] = {}
    async with connect(source) as trades, redis.Redis.from_url(url) as client:
        async for message in trades:
            trade: dict[str, Any] = json.loads(message)
            at = datetime.fromtimestamp(trade["T"] / 1000, UTC)
            key = (trade["s"], at.date().isoformat())  # a session a day
            sessions[key] = updated(sessions.get(key, {}), float(trade["p"]), float(trade["q"]))
            value = json.dumps({"price": sessions[key], "timestamp": at.isoformat()})
            await client.set(f"stocks:price:{trade['s']}", value, ex=DAY_S)


if __name__ == "__main__":
    asyncio.run(collect(sys.argv[1], sys.argv[2]))
