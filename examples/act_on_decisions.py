"""The execution side: ask for a decision on a position, then act on what is published, once an address.

    python examples/act_on_decisions.py

It starts an embedded Valkey, the stand-in model and the service, so that it runs by itself; in a trading system
`llmctx run` is the service, and only `open_client` is yours.
"""

import asyncio
import json
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import redis

from llmctx import DecisionConfig, EndpointClient, load_template, open_client, open_home, serve
from llmctx.assets import asset
from llmctx.llm.standin import MODEL, Standin
from llmctx.ops.server import EmbeddedServer


def open_position(url: str) -> None:
    """What a trading system has written already: a position in AAPL near its target, and the last price."""
    now = datetime.now(UTC).isoformat()
    position = {"symbol": "AAPL", "side": "long", "quantity": 10, "entry_price": 100.0, "current_price": 119.0}
    position |= {"unrealized_pnl": 190.0, "unrealized_pnl_pct": 19.0, "stop_loss": 90.0, "take_profit": 120.0}
    price = {"last": 119.0, "open": 101.0, "high": 119.5, "low": 100.2, "volume": 1_250_000}
    with redis.Redis.from_url(url) as client:
        client.set("positions:active:AAPL", json.dumps(position | {"entry_time": now, "last_update": now}))
        client.set("stocks:price:AAPL", json.dumps({"price": price, "timestamp": now}))


async def trade(url: str) -> None:
    """What an execution side does: it needs nothing but the server's address."""
    async with open_client(url) as client:
        settled = await client.decide("AAPL", cause="near_target")
        print(f"record {settled.address}: {settled.kind}, {settled.reason}")
        async for decision in client.follow(after={0: -1}):
            print(f"{decision.symbol}: {decision.action}, stop {decision.stop_loss}, target {decision.take_profit}")
            break  # place the order here, and note decision.address: whatever comes again is not acted on twice


async def main() -> None:
    """Run the service beside the execution side."""
    with tempfile.TemporaryDirectory() as folder, EmbeddedServer(Path(folder) / "redis") as server:
        open_position(server.url)
        async with Standin() as model, open_home(server.url, Path(folder) / "state") as home:
            completer = EndpointClient(model.base_url, "no key", MODEL)
            config = DecisionConfig(load_template(asset("prompts"), "position"), completer)
            stop = asyncio.Event()
            service = asyncio.create_task(serve(home, config, stop))
            await trade(server.url)
            stop.set()
            await service
            await completer.aclose()


if __name__ == "__main__":
    asyncio.run(main())
