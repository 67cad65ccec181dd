"""The programs in examples/ run as they are, and print what they promise."""

import asyncio
import json
import re
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as ws_serve

from llmctx.context.content import read_content
from llmctx.schema.values import Position, Price

from .conftest import ROOT


def run(name: str, *arguments: str) -> str:
    """What an example prints; a warning or an error of its own fails the test."""
    program = ["bash"] if name.endswith(".sh") else [sys.executable, "-W", "error"]
    command = [*program, str(ROOT / "examples" / name), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_decide_once_prints_a_decision_and_a_verified_trail() -> None:
    lines = run("decide_once.py").splitlines()
    assert re.fullmatch(r"record 1: decision, leaf hash [0-9a-f]{64}", lines[0])
    assert lines[1].startswith("the model says adjust_stops: ")
    assert lines[2].startswith("the guards let through: adjust_stops ")
    assert lines[3:] == ["verify: passed, 3 records"]


def test_replay_prompt_compares_every_decision_of_the_corpus_under_another_prompt() -> None:
    first, *matrix = run("replay_prompt.py").splitlines()
    assert first.startswith("18 decisions under position/v1: 18 of 18")
    assert sum(int(line.rpartition(" ")[2]) for line in matrix) == 18


@pytest.mark.more
def test_act_on_decisions_asks_and_receives_what_is_published() -> None:
    settled, published = run("act_on_decisions.py").splitlines()
    assert settled.startswith("record 1: decision, ")
    assert published.startswith("AAPL: adjust_stops, stop 1")


@pytest.mark.more
def test_ccxt_perpetual_decides_on_the_keys_of_a_bot_as_they_are() -> None:
    *sections, verdict = run("ccxt_perpetual.py").splitlines()
    assert sections == [
        "position: fresh, from bot:position:BTC/USDT:USDT",
        "price: fresh, from bot:tickers[BTC/USDT:USDT]",
        "funding: fresh, from bot:funding:BTC/USDT:USDT",
    ]
    assert verdict == "BTC/USDT:USDT: hold (as the model decided)"


async def test_collector_writes_the_session_of_each_symbol_as_the_schema_has_it(valkey: Redis, valkey_url: str) -> None:
    trades = [("BTC/USDT:USDT", "100", "1", 0), ("BTC/USDT:USDT", "90", "2", 1000), ("ETH-USD", "7", "1", 2000)]
    messages = [
        json.dumps({"s": symbol, "p": price, "q": size, "T": 1_772_800_000_000 + later_ms})
        for symbol, price, size, later_ms in trades
    ]

    async def send(client: ServerConnection) -> None:
        for message in messages:
            await client.send(message)

    async with ws_serve(send, "127.0.0.1", 0) as source:
        port = source.sockets[0].getsockname()[1]
        assert await asyncio.to_thread(lambda: run("collector.py", f"ws://127.0.0.1:{port}", valkey_url)) == ""
    raw = await valkey.get("stocks:price:BTC/USDT:USDT")
    assert isinstance(raw, bytes)
    content = read_content("price", raw)
    assert isinstance(content.value, Price)
    assert content.value.price.model_dump() == {"last": 90, "open": 100, "high": 100, "low": 90, "volume": 3}
    assert await valkey.ttl("stocks:price:ETH-USD") > 0


async def test_plain_set_writes_a_price_from_a_shell(valkey: Redis, valkey_url: str) -> None:
    host, _, port = valkey_url.removeprefix("redis://").partition("/")[0].partition(":")
    symbol = "\u5e01\u5b89USDT"
    printed = await asyncio.to_thread(lambda: run("plain_set.sh", host, port, symbol, "100500.5"))
    assert printed == "+OK\n"
    raw = await valkey.get(f"stocks:price:{symbol}")
    assert isinstance(raw, bytes)
    content = read_content("price", raw)
    assert isinstance(content.value, Price)
    assert content.value.price.last == Decimal("100500.5")
    assert await valkey.ttl(f"stocks:price:{symbol}") > 0


HASHES = """
[sections.position]
key = "bot:{symbol}"
kind = "hash"
[sections.position.fields]
entry_price = "avg"
current_price = "mark"
quantity = "qty"
entry_time = { path = "opened", epoch = "s" }
last_update = { path = "ts", epoch = "ms" }
"""


async def test_migrate_hashes_writes_the_schemas_keys_and_names_what_it_leaves(
    valkey: Redis, valkey_url: str, tmp_path: Path
) -> None:
    file = tmp_path / "sections.toml"
    file.write_text(HASHES, encoding="utf-8")
    held: Any = {"avg": "100", "mark": "101", "qty": "-2", "opened": "1772800000", "ts": "1772800001000"}
    await valkey.hset("bot:BTC-USD", mapping=held)
    await valkey.hset("bot:ETH-USD", mapping=held | {"qty": "x"})
    await valkey.hset("bot:SOL-USD", mapping=held | {"qty": "0"})
    lines = (await asyncio.to_thread(lambda: run("migrate_hashes.py", str(file), valkey_url))).splitlines()
    assert sorted(lines) == [
        "bot:BTC-USD -> positions:active:BTC-USD",
        "left out: bot:ETH-USD: quantity must be a JSON number, not a string; side is missing",
        "left out: bot:SOL-USD: its quantity is 0, so there is no position",
    ]
    raw = await valkey.get("positions:active:BTC-USD")
    assert isinstance(raw, bytes)
    content = read_content("position", raw)
    assert isinstance(content.value, Position)
    assert (content.value.side, content.value.quantity) == ("short", Decimal(2))
    assert await valkey.ttl("positions:active:BTC-USD") == -1


def test_each_example_has_a_test_here() -> None:
    here = (ROOT / "tests" / "test_examples.py").read_text(encoding="utf-8")
    names = [path.name for path in (ROOT / "examples").iterdir() if path.suffix in (".py", ".sh")]
    assert len(names) > 1
    assert not [name for name in names if f'run("{name}"' not in here]
