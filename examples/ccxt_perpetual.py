"""A perpetual bot that keeps what ccxt returns in hashes of its own: its keys stay, a mapping says what they are.

    python examples/ccxt_perpetual.py

A bot writes `exchange.fetch_positions()` and `exchange.fetch_ticker()` field by field, as many do. In llmctx.toml the
text below stands under `[sections]`; here it is given to the pipeline directly. Quantities are in coins, and the bot's
own section `funding` is shown to the model with its sentence.
"""

import asyncio
import json
import tempfile
import time
import tomllib
from pathlib import Path
from typing import Any

import redis

from llmctx import DecisionConfig, EndpointClient, Tick, load_template, open_home
from llmctx.assets import asset
from llmctx.context.read_rules import ReadRules
from llmctx.llm.standin import MODEL, Standin
from llmctx.ops.server import EmbeddedServer
from llmctx.schema.mapping.rule import SectionRule
from llmctx.schema.mapping.sections import Sections
from llmctx.worker.partition import own_partition

SYMBOL = "BTC/USDT:USDT"
MAPPING = """
[position]
key = "bot:position:{symbol}"
kind = "hash"
[position.fields]
entry_price = "entryPrice"
current_price = "markPrice"
quantity = "contracts"
side = "side"
entry_time = { path = "timestamp", epoch = "ms" }
unrealized_pnl = "unrealizedPnl"
stop_loss = "stopLossPrice"
take_profit = "takeProfitPrice"
last_update = { path = "lastUpdateTimestamp", epoch = "ms" }
leverage = "leverage"
liquidation_price = "liquidationPrice"

[price]
key = "bot:tickers"
kind = "hash"
field = "{symbol}"
[price.fields]
"price.last" = "last"
"price.high" = "high"
"price.low" = "low"
"price.volume" = "baseVolume"
timestamp = { path = "timestamp", epoch = "ms" }

[funding]
key = "bot:funding:{symbol}"
max_age_s = 28800
says = "What a holder pays every eight hours; positive means that long positions pay."
[funding.schema]
type = "object"
required = ["rate"]
[funding.schema.properties]
rate = { type = "number", unit = "%" }
"""


def write_bot(url: str) -> None:
    """What the bot writes by itself, with ccxt's names; a stop of 0 and an empty target are none."""
    now_ms = int(time.time() * 1000)
    position: dict[Any, Any] = {
        "symbol": SYMBOL, "contracts": "0.0995", "side": "long", "entryPrice": "100500", "markPrice": "101300.5",
        "unrealizedPnl": "79.65", "leverage": "3", "liquidationPrice": "68200", "stopLossPrice": "98000",
        "takeProfitPrice": "", "timestamp": now_ms - 3_600_000, "lastUpdateTimestamp": now_ms,
    }  # fmt: skip
    ticker = {"symbol": SYMBOL, "last": 101300.5, "high": 102000.0, "low": 99800.0, "baseVolume": 15234.7}
    with redis.Redis.from_url(url) as client:
        client.hset(f"bot:position:{SYMBOL}", mapping=position)
        client.hset("bot:tickers", SYMBOL, json.dumps(ticker | {"timestamp": now_ms}))
        client.set(f"bot:funding:{SYMBOL}", json.dumps({"rate": 0.01}))


async def main() -> None:
    """Decide once on the bot's position."""
    rules = {name: SectionRule.model_validate(rule) for name, rule in tomllib.loads(MAPPING).items()}
    with tempfile.TemporaryDirectory() as folder, EmbeddedServer(Path(folder) / "redis") as server:
        write_bot(server.url)
        async with Standin() as model, open_home(server.url, Path(folder) / "state") as home:
            completer = EndpointClient(model.base_url, "no key", MODEL)
            template = load_template(asset("prompts"), "position")
            config = DecisionConfig(template, completer, rules=ReadRules(sections=Sections(rules)))
            async with own_partition(home, 0, config) as (_, pipeline):
                entry = await pipeline.decide(Tick.by_hand(SYMBOL))
            await completer.aclose()
        for name in rules:
            section = entry.record["snapshot"]["sections"][name]
            print(f"{name}: {section['status']}, from {section['key']}")
        print(f"{SYMBOL}: {entry.record['verdict']['action']} ({entry.record['verdict']['reason']})")


if __name__ == "__main__":
    asyncio.run(main())
