"""The metrics of a service, as a scrape gets them, and the dashboard and alert rules that ask for them."""

import asyncio
import json
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from redis.asyncio import Redis

from llmctx.llm.standin import MODEL
from llmctx.schema import keys
from tests.conftest import ROOT, free_port
from tests.integration.conftest import hold, live, raise_tick
from tests.integration.program import Program, until

RULES = ROOT / "docs" / "operations" / "alerts.yml"
DASHBOARD = ROOT / "docs" / "operations" / "grafana.json"


def expressions() -> list[str]:
    """Every expression of the dashboard and the rules."""
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return [target["expr"] for panel in panels for target in panel["targets"]] + [
        rule["expr"] for group in groups for rule in group["rules"]
    ]


def names_asked_for() -> set[str]:
    return {name for expression in expressions() for name in re.findall(r"\bllmctx_\w+", expression)}


async def get(url: str, **parameters: str) -> str:
    async with aiohttp.ClientSession() as session, session.get(url, params=parameters) as response:
        assert response.status == 200
        return await response.text()


@asynccontextmanager
async def measured(program: Program, redis: Redis) -> AsyncIterator[str]:
    """The address of the metrics of a service that has decided on a held and on a stopped position."""
    port = free_port()
    standin = program.environment.pop("LLMCTX_LLM__BASE_URL")
    named = {"model": program.environment.pop("LLMCTX_LLM__MODEL")}
    away = named | {"name": "away", "base_url": "http://127.0.0.1:1/v1", "max_attempts": 1, "breaker_failures": 1}
    program.environment["LLMCTX_LLM__ENDPOINTS"] = json.dumps([away, named | {"name": "near", "base_url": standin}])
    await redis.set(keys.halt("ELSE"), "x")
    program.environment["LLMCTX_DAILY_BUDGET"] = json.dumps({"calls": 1000})
    program.environment["LLMCTX_PRICES"] = json.dumps({MODEL: {"input": 1000, "output": 2000}})
    await hold(redis, "AAPL")
    await redis.mset(live("MSFT", stop_loss=101.0))
    async with program.running(redis, "--metrics", str(port)) as process:
        for symbol in ("AAPL", "MSFT"):
            await raise_tick(redis, f"of-{symbol}", symbol)
        for name in ("one", "two"):
            done = {"id": name, "symbol": "AAPL", "status": "accepted", "at": "2026-03-02T15:00:05.000Z"}
            await redis.xadd(keys.effects(0), {"effect": json.dumps(done)})
        url = f"http://127.0.0.1:{port}/metrics"
        await until(lambda: redis.get("audit:{0}:checkpoint"))
        await until(lambda: has_settled(url, 2))
        await until(lambda: has_recorded(url, 2))
        yield url
        await program.stop(process)


async def has_settled(url: str, ticks: int) -> bool:
    return f"llmctx_ticks_settled_total {ticks}.0\n" in await get(url)


async def has_recorded(url: str, effects: int) -> bool:
    return f'llmctx_effects_total{{status="accepted"}} {effects}.0\n' in await get(url)


async def test_a_scrape_tells_what_was_settled_and_how_server_and_trail_stand(program: Program, valkey: Redis) -> None:
    async with measured(program, valkey) as url:
        text = await get(url)
    samples = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    names = {name for name, *_ in samples}
    assert names_asked_for() <= names
    assert samples["llmctx_records_total", ("kind", "decision")] == 2
    assert samples["llmctx_records_total", ("kind", "dead_letter")] == 0  # there, so that its first one is an increase
    assert samples["llmctx_decisions_total", ("action", "exit"), ("verdict", "exit")] == 1
    assert samples["llmctx_guards_total", ("guard", "stop_loss_breached")] == 1
    assert samples["llmctx_guards_total", ("guard", "stop_unconfirmed")] == 0  # there too
    assert samples["llmctx_calls_total", ("model", MODEL), ("outcome", "answered")] == 2
    assert samples["llmctx_cost_total", ("model", MODEL)] > 0
    assert samples["llmctx_endpoint_open", ("endpoint", "away")] == 1
    assert samples["llmctx_endpoint_open", ("endpoint", "near")] == 0
    assert (samples["llmctx_halts", ("scope", "all")], samples["llmctx_halts", ("scope", "symbol")]) == (0, 1)
    assert samples["llmctx_effects_waiting", ("partition", "0")] == 0
    assert not [name for name in samples if name[0] == "llmctx_decisions_total" and ("verdict", "none") in name]
    for stage in ("read", "render", "complete", "judge"):
        assert samples["llmctx_stage_seconds_count", ("stage", stage)] == 2
    for stage in ("append", "sync", "publish"):
        assert samples["llmctx_stage_seconds_count", ("stage", stage)] == 4  # of the effects too
    assert samples["llmctx_redis_up",] == samples["llmctx_held", ("partition", "0")] == 1
    assert samples["llmctx_log_records", ("partition", "0")] >= 3
    assert samples["llmctx_redis_memory_max_bytes",] == 2 * 1024**3
    assert not re.findall(r"AAPL|MSFT|[0-9a-f]{32}", text)  # no symbol and no digest in a label


@pytest.mark.more
async def test_a_server_that_is_away_is_down_and_no_old_figure_stands_for_it(program: Program, valkey: Redis) -> None:
    async with measured(program, valkey) as url:
        await valkey.client_pause(5000)
        text = await get(url)
    assert "llmctx_redis_up 0.0\n" in text
    assert "llmctx_ticks_settled_total 2.0\n" in text
    assert "llmctx_redis_memory_used_bytes" not in text


def test_what_is_off_is_not_even_imported() -> None:
    script = "import sys, llmctx.cli.run.run, llmctx.worker.serve; print([name for name in sys.modules if 'prometheus_client' in name or 'otlp' in name])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


async def test_a_port_that_is_taken_is_named(program: Program, valkey: Redis, valkey_url: str) -> None:
    assert await valkey.dbsize() == 0
    taken = int(valkey_url.rpartition(":")[2].removesuffix("/0"))
    ended = await program("run", "--metrics", str(taken))
    assert (ended.code, f"Metrics cannot be served on 127.0.0.1:{taken}" in ended.err) == (2, True)


def check_rules() -> None:
    """What is wrong with the alert rules, as promtool tells it; without it, by their form alone."""
    if shutil.which("promtool") is not None:
        done = subprocess.run(["promtool", "check", "rules", str(RULES)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    for group in yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]:
        for rule in group["rules"]:
            assert rule["annotations"].keys() == {"summary", "do"}
            assert rule["labels"]["severity"] in ("critical", "warning")


@asynccontextmanager
async def scraped(url: str, folder: Path) -> AsyncIterator[Callable[[str], Awaitable[Any]]]:
    """Answers an expression by a real Prometheus that scrapes the address every second."""
    port, target = free_port(), url.removeprefix("http://").removesuffix("/metrics")
    jobs = [{"job_name": "llmctx", "scrape_interval": "1s", "static_configs": [{"targets": [target]}]}]
    config = folder / "prometheus.yml"
    config.write_text(yaml.safe_dump({"scrape_configs": jobs, "rule_files": [str(RULES)]}), encoding="utf-8")
    process = await asyncio.create_subprocess_exec(
        "prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{port}", stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip

    async def ask(expression: str) -> Any:
        try:
            found = json.loads(await get(f"http://127.0.0.1:{port}/api/v1/query", query=expression))
        except (aiohttp.ClientError, AssertionError):
            return None  # it starts
        return found["data"]["result"]

    try:
        yield ask
    finally:
        process.terminate()
        await process.wait()


@pytest.mark.more
async def test_a_real_prometheus_knows_every_name_that_dashboard_and_rules_ask_for(
    program: Program, valkey: Redis, tmp_path: Path
) -> None:
    check_rules()
    assert len(names_asked_for()) > 25
    async with measured(program, valkey) as url:
        if shutil.which("prometheus") is None:
            exposed = {
                sample.name for family in text_string_to_metric_families(await get(url)) for sample in family.samples
            }
            assert names_asked_for() <= exposed
            return
        async with scraped(url, tmp_path) as ask:
            await until(lambda: ask('up{job="llmctx"} == 1'))
            unknown = [name for name in sorted(names_asked_for()) if not await ask(name)]
            assert unknown == []
            for expression in expressions():
                assert await ask(expression.replace("$__rate_interval", "1m")) is not None, expression
            await until(lambda: ask("llmctx_held == 1"))
