"""The stage on which everything is measured: an embedded server full of positions, a stand-in in its own process."""

import asyncio
import json
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

from redis.asyncio import Redis

from llmctx.assets import asset
from llmctx.clock import iso, now_ms
from llmctx.connection import open_redis
from llmctx.context.package import build_package
from llmctx.context.read_rules import ReadRules
from llmctx.context.reader import read_snapshot
from llmctx.decision.decision import OUTPUT
from llmctx.llm.client import EndpointClient
from llmctx.llm.standin import MODEL
from llmctx.ops.server import EmbeddedServer
from llmctx.pipeline import DecisionConfig
from llmctx.prompt.render import render
from llmctx.prompt.template import load_template

SYMBOLS = [f"S{number:03}" for number in range(200)]


class Stage(NamedTuple):
    """Where a benchmark runs."""

    redis: Redis
    url: str
    base_url: str
    state_dir: Path

    @asynccontextmanager
    async def config(self) -> AsyncIterator[DecisionConfig]:
        """Decisions asked of the stand-in."""
        client = EndpointClient(self.base_url, "none", MODEL)
        yield DecisionConfig(load_template(asset("prompts"), "position"), client)
        await client.aclose()

    @asynccontextmanager
    async def standin(self, latency_ms: int) -> AsyncIterator["Stage"]:
        """The same stage with a stand-in that waits so long before each answer."""
        async with _standin(latency_ms) as base_url:
            yield self._replace(base_url=base_url)

    async def request(self) -> dict[str, Any]:
        """What the service asks about one symbol, as arguments of a bare `chat.completions.create`."""
        package = build_package(await read_snapshot(self.redis, SYMBOLS[0], 0, ReadRules()))
        prompt = render(load_template(asset("prompts"), "position"), package)
        plan = EndpointClient(self.base_url, "none", MODEL).plan(prompt.parameters, OUTPUT)
        document: dict[str, Any] = json.loads(plan.body(plan.messages(prompt)))
        return document


@asynccontextmanager
async def stage() -> AsyncIterator[Stage]:
    """A stage, with every section of two hundred symbols fresh."""
    with tempfile.TemporaryDirectory() as folder, EmbeddedServer(Path(folder) / "redis") as server:
        async with _standin(0) as base_url, open_redis(server.url) as redis:
            await _fill(redis)
            yield Stage(redis, server.url, base_url, Path(folder) / "state")


@asynccontextmanager
async def _standin(latency_ms: int) -> AsyncIterator[str]:
    """The base URL of a stand-in in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "from llmctx.cli import main; main()", "standin", "--port", "0",
        "--latency-ms", str(latency_ms), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        said = (await process.stdout.readline()).decode()
        yield next(word for word in said.split() if word.startswith("http://"))
    finally:
        process.terminate()
        await process.wait()


async def _fill(redis: Redis) -> None:
    """The sections of a typical position, written like any collector does."""
    now = iso(now_ms())
    shared = {
        "watchlist:current": SYMBOLS[:20],
        "candidates:ranked": [
            {"symbol": symbol, "score": 0.95, "price": 150.25, "signals": ["breakout"], "timestamp": now}
            for symbol in SYMBOLS[:3]
        ],
        "system:state": {
            "state": "running", "market_status": "open", "active_positions_count": 2, "watchlist_count": 15,
            "last_scan_time": now, "timestamp": now,
        },
        "metrics:performance": {
            "daily_pnl": 125.5, "daily_pnl_pct": 2.51, "win_count": 3, "loss_count": 1, "win_rate": 0.75,
            "avg_win": 50.0, "avg_loss": -25.0, "largest_win": 75.0, "largest_loss": -25.0, "timestamp": now,
        },
        "context:market": {
            "sector_performance": {"technology": 0.5, "healthcare": -0.2, "financials": 0.3, "energy": -0.4},
            "market_breadth": {"advancing": 1250, "declining": 1750, "unchanged": 500},
            "vix": 18.5, "market_regime": "bullish_consolidation", "timestamp": now,
        },
    }  # fmt: skip
    for key, value in shared.items():
        await redis.set(key, json.dumps(value))
    for symbol in SYMBOLS:
        for key, value in _sections(symbol, now).items():
            await redis.set(key, json.dumps(value))


def _sections(symbol: str, now: str) -> dict[str, object]:
    return {
        f"stocks:price:{symbol}": {
            "price": {"last": 150.25, "open": 149.8, "high": 151.2, "low": 149.5, "volume": 25000000},
            "timestamp": now,
        },
        f"stocks:indicators:{symbol}": {
            "rsi_14": 65.75, "macd": 0.5, "macd_signal": 0.3, "bollinger_upper": 152.5, "bollinger_lower": 148.5,
            "bollinger_width": 4.0, "timestamp": now,
        },
        f"stocks:sentiment:{symbol}": {
            "sentiment_score": 0.75, "sentiment_label": "bullish", "news_count": 3,
            "latest_news": [
                {"headline": "Quarterly earnings beat expectations", "source": "wire", "timestamp": now,
                 "url": "https://example.com/earnings"},
            ],
            "timestamp": now,
        },
        f"positions:active:{symbol}": {
            "symbol": symbol, "entry_price": 150.0, "current_price": 150.25, "quantity": 10, "side": "long",
            "entry_time": now, "unrealized_pnl": 2.5, "unrealized_pnl_pct": 0.17, "stop_loss": 145.0,
            "take_profit": 160.0, "last_update": now,
        },
        f"positions:monitoring:{symbol}": {
            "technical_signals": {
                "rsi_1m": {"value": 58.5, "signal": "neutral"}, "macd_5m": {"value": 0.15, "signal": "weakening"},
                "support_resistance": {"next_level": 152.0, "type": "resistance"},
            },
            "profit_target": {"value": 160.0, "distance": "6.5%"}, "stop_loss": {"value": 145.0, "distance": "3.5%"},
            "time_in_trade": "00:27:15", "timestamp": now,
        },
    }  # fmt: skip
