"""Replays from the command line, on real servers: nothing is touched, everything can be taken up again."""

import asyncio
import json
import re
import shutil
import signal
from pathlib import Path
from typing import Any, cast

import pytest
from redis.asyncio import Redis

from llmctx.assets import asset
from llmctx.canonical import sha256
from llmctx.connection.streams import read_stream
from llmctx.decision.decision import OUTPUT
from llmctx.flow.bars import Bar
from llmctx.flow.feed import Feed
from llmctx.flow.lockstep import Lockstep
from llmctx.flow.rules import FeedRules
from llmctx.flow.simulated_market import simulate
from llmctx.flow.store import Store
from llmctx.llm.standin import MODEL, Standin
from llmctx.replay.corpus import read_corpus
from llmctx.replay.results import read_results
from llmctx.trail.log.instance import read_instance
from llmctx.trail.log.log import Log
from llmctx.trail.proof.key import load_or_make_key
from llmctx.trail.proof.notary_service import cover_now
from tests.conftest import free_port, present
from tests.integration.conftest import ByRules, Prepare, hold, raise_tick, serving
from tests.integration.program import Program, until
from tests.unit.makers import stored

MARKET = simulate(seed=6, days=1, minutes=30)
LOG = "audit:{0}:log"
SYMBOLS = ("AAPL", "MSFT", "IBM")


async def everything(redis: Redis) -> dict[bytes, tuple[Any, Any]]:
    """Every key of a server with its whole content and lifetime, and its functions."""
    keys = sorted([key async for key in redis.scan_iter(count=1000)])
    found = {key: (await redis.dump(key), await redis.pttl(key) < 0) for key in keys}
    return found | {b"(functions)": (await redis.function_list(), None)}


async def record(redis: Redis, url: str, made: Program) -> None:
    await hold(redis, *SYMBOLS)
    ids = [f"t{number}" for number in range(len(SYMBOLS))]
    async with serving(redis, url, made.folder / "var", ByRules()) as running:
        for tick_id, symbol in zip(ids, SYMBOLS, strict=True):
            await raise_tick(redis, tick_id, symbol)
        await running.until_settled(*ids)


@pytest.fixture
async def recorded(redis: Redis, redis_url: str, standin: Standin, prepare: Prepare) -> Program:
    """Three decisions on each server in turn."""
    return await prepare(redis, redis_url, record, standin.base_url)


@pytest.fixture
async def trail(valkey: Redis, valkey_url: str, standin: Standin, prepare: Prepare) -> Program:
    """Three decisions on the embedded Valkey."""
    return await prepare(valkey, valkey_url, record, standin.base_url)


def other_prompts(folder: Path) -> Path:
    """The shipped prompts, and a version of position that sees no levels."""
    prompts = folder / "prompts"
    shutil.copytree(asset("prompts"), prompts)
    source = (prompts / "position" / "v1.md.j2").read_text(encoding="utf-8")
    source = source.replace("version: 1", "version: 9").replace("risk-aware", "careful")
    (prompts / "position" / "v9.md.j2").write_text(source, encoding="utf-8")
    return prompts


async def test_no_replay_touches_a_key_of_the_server(recorded: Program, redis: Redis) -> None:
    before = await everything(redis)
    assert len(before) > 8
    prompts = str(other_prompts(recorded.folder))
    for arguments in (
        ["replay"],
        ["replay", "--mode", "again", "--repeat", "2"],
        ["replay", "--prompt", "position/v9", "--prompts", prompts],
        ["replay", "--model", "another-model"],
        ["replay", "--mode", "again", "--batch", "batch.jsonl"],
        ["outcome"],
        ["corpus", "add", "all", "c.jsonl"],
    ):
        ended = await recorded(*arguments)
        assert ended.code == 0, ended.err
        assert await everything(redis) == before, arguments


async def test_rebuild_names_its_mode_and_finds_all_the_same(recorded: Program) -> None:
    ended = await recorded("replay", "--json")
    assert ended.code == 0
    found = ended.document
    assert (found["mode"], found["records"], found["prompts_same"], found["decisions_same"]) == ("rebuild", 3, 3, 3)
    assert found["differing"] == []


async def rewrite(valkey: Redis, index: int, **pieces: bytes) -> None:
    """Put other evidence in the place of a record's, as somebody with access to Redis might."""
    entry = present(await Log(valkey).entry(index))
    found = await read_stream(valkey, LOG)
    await valkey.delete(LOG)
    for one in found:
        fields = stored(entry.leaf, entry.pieces | pieces) if one.number == index else one.fields
        await valkey.xadd(LOG, cast("dict[Any, Any]", fields), id=one.id)


async def test_changed_data_is_the_data_and_a_changed_template_the_template(trail: Program, valkey: Redis) -> None:
    entry = present(await Log(valkey).entry(2))
    snapshot = entry.pieces["snapshot"].replace(b'\\"last\\": 100.0', b'\\"last\\": 101.5')
    assert snapshot != entry.pieces["snapshot"]
    await rewrite(valkey, 2, snapshot=snapshot)
    ended = await trail("replay", "--json")
    assert ended.code == 1
    assert [(found["index"], found["cause"]) for found in ended.document["differing"]] == [(2, "data")]
    said = entry.record["prompt"]["template_sha256"]
    key = f"audit:{{0}}:blob:{said}"
    blob = await valkey.get(key)
    assert isinstance(blob, bytes)
    await valkey.set(key, blob + b" ")
    ended = await trail("replay", "--json")
    assert ended.code == 1
    assert ended.document["causes"] == {"template": 2, "data": 1}


async def test_again_agrees_and_says_what_served(trail: Program) -> None:
    ended = await trail("replay", "--mode", "again", "--repeat", "2", "--out", "again.jsonl", "--json")
    assert ended.code == 0
    found = ended.document
    assert (found["mode"], found["asked"]) == ("again", 6)
    assert found["comparison"]["agreement"]["count"] == 3
    results = read_results(trail.folder / "again.jsonl").results
    assert {str(cause) for result in results for cause in result.causes} == {
        f"model: served: rules became {MODEL}",
        f"model: asked for: the form {OUTPUT.sha256[:12]} became {sha256(OUTPUT.asked().bundle)[:12]}",
    }


async def test_another_prompt_is_the_template_and_is_named(trail: Program) -> None:
    prompts = str(other_prompts(trail.folder))
    options = ("--prompt", "position/v9", "--prompts", prompts, "--model", MODEL, "--out", "v9.jsonl")
    ended = await trail("replay", *options)
    assert ended.code == 0, ended.err
    assert "prompt and model: position/v9" in ended.out
    results = read_results(trail.folder / "v9.jsonl").results
    causes = [str(result.causes[0]) for result in results]
    assert all(cause.startswith("template: position/v") and cause.endswith(" became position/v9") for cause in causes)


async def test_the_same_command_goes_on_where_sigint_stopped_it(trail: Program) -> None:
    async with Standin(latency_ms=150) as slow:
        trail.environment["LLMCTX_LLM__BASE_URL"] = slow.base_url
        command = ("replay", "--model", MODEL, "--repeat", "6", "--concurrency", "1", "--out", "r.jsonl")
        process = await trail.start(*command)
        path = trail.folder / "r.jsonl"
        async with asyncio.timeout(120):
            await until(lambda: path.exists() and path.read_bytes().count(b'{"result"') >= 2)
        process.send_signal(signal.SIGINT)
        stopped = await trail.ended(process)
        assert stopped.code == 130
        assert "Run the same command again to resume from r.jsonl" in stopped.err
        done = len(read_results(path).results)
        assert 2 <= done < 18
        ended = await trail(*command, "--json")
        assert ended.code == 0
        assert (ended.document["before"], ended.document["asked"]) == (done, 18 - done)
        assert slow.requests in (18, 19)  # the call that was cut off is asked once more


async def test_a_budget_stops_and_a_larger_one_goes_on(trail: Program) -> None:
    command = ("replay", "--model", MODEL, "--repeat", "3", "--concurrency", "2", "--out", "r.jsonl", "--json")
    first = await trail(*command, "--budget-tokens", "20000")
    assert first.code == 0
    assert first.document["stopped"]
    assert 0 < first.document["tokens"] <= 20_000
    second = await trail(*command)
    assert second.document["before"] == first.document["asked"]
    assert first.document["asked"] + second.document["asked"] == 9


async def test_a_budget_in_money_goes_by_the_prices_of_the_settings(trail: Program) -> None:
    command = ("replay", "--model", MODEL, "--repeat", "4", "--budget-cost", "0.03", "--out", "r.jsonl", "--json")
    refused = await trail(*command)
    assert refused.code == 2
    assert f"no price for {MODEL!r}" in refused.err
    trail.environment["LLMCTX_PRICES"] = json.dumps({MODEL: {"input": "1", "output": "2"}})
    ended = await trail(*command)
    assert ended.code == 0
    assert ended.document["stopped"]
    assert 0 < ended.document["cost"] <= 0.03


async def test_an_export_a_corpus_and_redis_give_the_same_rebuild(trail: Program, valkey: Redis) -> None:
    assert (await trail("corpus", "add", "all", "c.jsonl")).code == 0
    corpus = read_corpus(trail.folder / "c.jsonl")
    assert len(corpus.entries) == 3
    instance = present(await read_instance(valkey))
    state_dir = trail.folder / "var"
    await cover_now(valkey, instance, state_dir, load_or_make_key(state_dir, instance.id))
    assert (await trail("export", "export")).code == 0
    for where in ("c.jsonl", "export"):
        ended = await trail("replay", "--from", where, "--json")
        assert (ended.code, ended.document["prompts_same"]) == (0, 3)


async def test_a_corpus_takes_a_record_once(trail: Program) -> None:
    await trail("corpus", "add", "1", "c.jsonl")
    ended = await trail("corpus", "add", "all", "c.jsonl", "--json")
    assert (ended.document["added"], ended.document["there_already"], ended.document["records"]) == (2, 1, 3)
    listed = await trail("corpus", "list", "c.jsonl", "--json")
    assert [line["index"] for line in listed.lines] == [1, 2, 3]


async def test_a_changed_corpus_is_no_evidence(trail: Program) -> None:
    await trail("corpus", "add", "all", "c.jsonl")
    path = trail.folder / "c.jsonl"
    path.write_bytes(path.read_bytes().replace(b"100.0", b"100.1", 1))
    ended = await trail("replay", "--from", "c.jsonl")
    assert ended.code == 1
    assert "was changed: the line should have the digest" in ended.err


async def test_a_batch_goes_out_and_its_answers_come_back(trail: Program) -> None:
    command = ("replay", "--model", MODEL, "--out", "r.jsonl", "--json")
    written = await trail(*command, "--batch", "in.jsonl")
    assert written.document["requests"] == 3
    lines = (trail.folder / "in.jsonl").read_text(encoding="utf-8").split("\n")[:-1]
    async with Standin() as provider:
        bodies = [await _post(provider, json.loads(line)["body"]) for line in lines]
    output = [
        {"custom_id": json.loads(line)["custom_id"], "response": {"status_code": 200, "body": body}, "error": None}
        for line, body in zip(lines, bodies, strict=True)
    ]
    (trail.folder / "out.jsonl").write_text("".join(json.dumps(line) + "\n" for line in output), encoding="utf-8")
    trail.environment["LLMCTX_PRICES"] = json.dumps({MODEL: {"input": "1000000", "output": "0"}})
    ended = await trail(*command, "--answers", "out.jsonl")
    assert ended.code == 0, ended.err
    assert (ended.document["asked"], ended.document["comparison"]["agreement"]["count"]) == (3, 3)
    usages = [result.replayed.tokens for result in read_results(trail.folder / "r.jsonl").results]
    read = sum(usage.prompt for usage in usages if usage is not None)
    assert ended.document["cost"] == read / 2  # a batch costs half


async def _post(provider: Standin, body: dict[str, Any]) -> Any:
    _, answer = await provider._respond("POST", "/v1/chat/completions", json.dumps(body).encode())
    assert answer is not None
    return json.loads(answer)


async def test_compare_writes_a_page_and_names_flips(trail: Program) -> None:
    await trail("replay", "--model", MODEL, "--out", "a.jsonl")
    ended = await trail("compare", "recorded", "a.jsonl", "--html", "page.html", "--json")
    assert ended.code == 0
    assert ended.document["agreement"] == {
        "count": 3,
        "of": 3,
        "share": 1.0,
        "wilson_95": pytest.approx([0.4385, 1.0], abs=1e-4),
    }
    assert "</html>" in (trail.folder / "page.html").read_text(encoding="utf-8")
    told = await trail("compare", "a.jsonl")
    assert "3 of 3, 100%" in told.out


MISUSED = {
    "replay nonsense": "is not a range of indices",
    "replay colour=red": "Unknown selection term",
    "replay symbol=NONE": "matches no record",
    "replay --mode nonsense": "give rebuild or again",
    "replay --mode again --model b": "--mode again changes nothing",
    "replay --repeat 2": "A rebuild asks no model",
    "replay --budget-cost x --mode again": "give an amount above 0",
    "replay --prompt nonsense": "no prompt 'nonsense'",
    "replay --from none.jsonl": "cannot be read",
    "replay --mode again --answers none.jsonl": "cannot be read",
    "compare recorded": "nothing to compare",
    "compare none.jsonl": "cannot be read",
    "corpus nonsense": "has no action 'nonsense'",
    "corpus add symbol=NONE c.jsonl": "matches no record",
    "outcome --horizon 7": "give one of 5, 15, 60, end",
    "outcome symbol=NONE": "matches no decision",
    "backtest none.csv": "none.csv",
}


async def test_misuse_says_what_to_do(trail: Program) -> None:
    for (arguments, says), ended in zip(MISUSED.items(), await trail.all(*MISUSED), strict=True):
        assert ended.code == 2, arguments
        assert says in " ".join((ended.err + ended.out).split()).replace("│ ", ""), arguments


async def test_without_an_endpoint_nothing_is_asked(trail: Program) -> None:
    del trail.environment["LLMCTX_LLM__BASE_URL"]
    ended = await trail("replay", "--mode", "again")
    assert ended.code == 3
    assert "No LLM endpoint is configured" in ended.err


# what lies after as_of


async def prompts_of(valkey: Redis, url: str, state_dir: Path, items: list[Any]) -> dict[tuple[str, int], bytes]:
    """Every prompt of a lockstep session, by symbol and time."""
    await valkey.flushall()
    async with serving(valkey, url, state_dir, ByRules()) as running:
        lockstep = Lockstep(valkey, 1)
        await Feed(Store(valkey, 1), FeedRules(sectors=MARKET.sectors), lockstep=lockstep).run(items)
    return {
        (entry.record["symbol"], entry.record["as_of_ms"]): entry.pieces["messages"]
        for entry in running.entries
        if "messages" in entry.pieces
    }


def doubled(bar: Bar) -> Bar:
    return bar._replace(open=bar.open * 2, high=bar.high * 2, low=bar.low * 2, close=bar.close * 2)


@pytest.mark.usefixtures("short_pauses")
async def test_what_the_market_does_later_changes_no_prompt_before(
    valkey: Redis, valkey_url: str, tmp_path: Path
) -> None:
    items = list(MARKET.items())
    starts = sorted({bar.start for bar in MARKET.bars})
    cut = starts[27]
    other = [doubled(item) if isinstance(item, Bar) and item.start >= cut else item for item in items]
    one = await prompts_of(valkey, valkey_url, tmp_path / "a", items)
    two = await prompts_of(valkey, valkey_url, tmp_path / "b", other)
    cut_ms = int(cut.timestamp() * 1000)
    before = {key for key in {*one, *two} if key[1] <= cut_ms}
    assert len(before) > 20
    assert [key for key in sorted(before) if one.get(key) != two.get(key)] == []
    assert one != two


@pytest.fixture
async def session(tmp_path: Path, standin: Standin) -> Program:
    """The program with a simulated session of half an hour, and no server."""
    made = Program("redis://127.0.0.1:1/0", tmp_path, standin.base_url)
    options = ("--news", "n.jsonl", "--sectors", "s.json", "--days", "1", "--minutes", "27", "--seed", "6")
    assert (await made("simulate", "b.csv", *options)).code == 0
    return made


@pytest.mark.more
async def test_a_backtest_lets_each_prompt_trade_and_is_repeatable(session: Program) -> None:
    prompts = str(other_prompts(session.folder))
    files = ("b.csv", "--news", "n.jsonl", "--sectors", "s.json", "--prompts", prompts)
    both = ("--prompt", "position/v1", "--prompt", "position/v9", "--prompt", "position/v1")
    session.environment["LLMCTX_CLOCK"] = "server"  # that of a live trail; a session has the clock of its bars
    ended = await session("backtest", *files, *both, "--keep", "kept", "--json")
    assert ended.code == 0, ended.err
    first, other, again = ended.lines
    assert first == again
    assert other | {"prompt": "position/v1", "tokens_in": first["tokens_in"]} == first
    assert first["calls"] == first["ticks"] > 20
    assert first["opened"] > 0
    assert not {"market_unknown", "stale_price"} & set(first["guards"])
    assert first["pnl"] == pytest.approx(first["realized"] + first["open"])
    assert 0 < first["mean_exposure_pct"] <= first["max_exposure_pct"] <= 100
    kept = await session("replay", "--redis-url", "embedded:kept/position-v9/redis", "--json")
    assert (kept.code, kept.document["prompts_same"]) == (0, first["calls"])


async def test_a_backtest_says_before_it_starts_what_is_missing(session: Program) -> None:
    ended = await session("backtest", "b.csv", "--prompt", "nonsense")
    assert ended.code == 2
    assert "no prompt 'nonsense'" in ended.err
    (session.folder / "full").mkdir()
    (session.folder / "full" / "position-v4").mkdir()
    (session.folder / "full" / "position-v4" / "x").touch()
    ended = await session("backtest", "b.csv", "--prompt", "position", "--keep", "full")
    assert (ended.code, "is not empty" in ended.err) == (2, True)
    del session.environment["LLMCTX_LLM__BASE_URL"]
    assert (await session("backtest", "b.csv")).code == 3


async def test_a_backtest_ends_early_where_the_endpoint_is_away(session: Program) -> None:
    session.environment["LLMCTX_LLM__MAX_ATTEMPTS"] = "1"
    files = ("b.csv", "--news", "n.jsonl", "--sectors", "s.json", "--keep", "kept")
    ended = await session("backtest", *files, "--endpoint", f"http://127.0.0.1:{free_port()}/v1")
    assert ended.code == 3
    assert "8 calls in a row got no answer, the last one: connection" in ended.err
    kept = await session("replay", "--redis-url", "embedded:kept/position-v4/redis", "--json")
    assert 8 <= kept.document["records"] < 20


async def test_the_columns_of_a_backtest_are_told_apart(session: Program) -> None:
    assert (await session("simulate", "short.csv", "--days", "1", "--minutes", "2")).code == 0
    ended = await session("backtest", "short.csv", "--prompt", "position/v2", "--prompt", "position/v2")
    assert ended.code == 0, ended.err
    assert re.match(r" +position/v2 \(1\) +position/v2 \(2\)\n", ended.out)
