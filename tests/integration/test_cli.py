"""The command line from end to end: the installed program against real servers."""

import asyncio
import json
import shlex
import socket
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from llmctx import canonical
from llmctx.connection.streams import read_stream
from llmctx.llm.standin import MODEL, Standin
from llmctx.replay.verify import verify_log
from llmctx.schema import keys
from llmctx.trail.log.entry import restored
from llmctx.trail.log.instance import bind_instance
from llmctx.trail.log.lease import read_holder
from llmctx.trail.log.log import Log
from llmctx.version import VERSION
from tests.conftest import free_port, present
from tests.days import Day
from tests.integration.conftest import NOW, ByRules, Prepare, hold, live, raise_tick, serving
from tests.integration.program import Program, until
from tests.unit.makers import stored

LOG = "audit:{0}:log"
HEADER = "timestamp,symbol,open,high,low,close,volume"
ROW = "2026-03-02T14:{:02}:00Z,AAPL,100,101,99,100,1000"


async def kinds(redis: Redis) -> list[str]:
    return [str(entry.record["kind"]) async for entry in Log(redis).read() if entry.record["kind"] != "notice"]


# help and schema


async def test_help_names_the_exit_codes(dumb: Program) -> None:
    ended = await dumb("--help")
    assert ended.code == 0
    assert "0 success; 1 the evidence or a check failed; 2 wrong usage or unusable input; 3 a server" in " ".join(
        ended.out.split()
    )


async def test_misuse_exits_with_2(dumb: Program) -> None:
    ended = await dumb.all("nonsense", "decide", "decide AAPL --nonsense")
    assert [run.code for run in ended] == [2, 2, 2]


@pytest.mark.parametrize("command", ["decide", "nonsense", "show zz", "verify nowhere"])
async def test_with_json_an_error_is_one_object_on_standard_error(dumb: Program, command: str) -> None:
    ended = await dumb(*command.split(), "--json")
    assert ended.code in (2, 3)
    assert json.loads(ended.err).keys() == {"error", "what_to_do"}
    assert ended.out == ""


async def test_with_json_a_warning_is_one_object_on_standard_error(dumb: Program, tmp_path: Path) -> None:
    (tmp_path / "bars.csv").write_text(f"{HEADER}\n{ROW.format(30)}\nnonsense\n")
    ended = await dumb("feed", "bars.csv", "--json")
    assert [json.loads(line).keys() for line in ended.err.splitlines()] == [{"warning"}]


async def test_python_m_llmctx_is_the_same_program() -> None:
    done = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "llmctx", "--version", stdout=asyncio.subprocess.PIPE
    )
    assert (await done.communicate())[0].decode() == f"llmctx {VERSION}\n"


async def test_schema_lists_every_family_of_the_schema_document(dumb: Program) -> None:
    ended = await dumb("schema")
    assert ended.code == 0
    assert all(family.pattern in ended.out for family in keys.FAMILIES)


async def test_schema_json_has_one_line_a_family(dumb: Program) -> None:
    assert [line["section"] for line in (await dumb("schema", "--json")).lines] == list(keys.BY_SECTION)


async def test_schema_of_a_key_or_section_is_its_json_schema(dumb: Program) -> None:
    for ended in await dumb.all("schema positions:active:AAPL --json", "schema position --json"):
        assert ended.code == 0
        assert "entry_price" in ended.document["properties"]


@pytest.mark.parametrize("family", keys.FAMILIES, ids=lambda family: family.section)
async def test_schema_of_a_section_shows_an_example_to_set(dumb: Program, family: keys.Family) -> None:
    written = family.key("MSFT", "exit")
    ended = await dumb("schema", written)
    command, key, value = shlex.split(ended.out.split("\n\n")[1])
    assert (command, key) == ("SET", written)
    assert "AAPL" not in value or "MSFT" in value
    family.model.model_validate_json(value)


async def test_schema_of_an_unknown_key_exits_with_2_and_names_it(dumb: Program) -> None:
    ended = await dumb("schema", "positions:closed:AAPL")
    assert ended.code == 2
    assert "'positions:closed:AAPL'" in ended.err


async def test_schema_needs_no_server(tmp_path: Path) -> None:
    assert (await Program(f"redis://127.0.0.1:{free_port()}/0", tmp_path)("schema")).code == 0


# context


async def test_context_shows_every_section_with_its_status(
    dumb: Program, valkey: Redis, schema_examples: dict[str, str]
) -> None:
    await valkey.mset(schema_examples)
    ended = await dumb("context", "AAPL")
    assert ended.code == 0
    assert all(key in ended.out for key in schema_examples)
    assert "price.price.last" in ended.out


async def test_context_json_is_one_document(dumb: Program, valkey: Redis, schema_examples: dict[str, str]) -> None:
    await valkey.mset(schema_examples)
    package = (await dumb("context", "AAPL", "--json")).document
    assert (package["symbol"], package["refusal"]) == ("AAPL", None)
    assert package["sections"]["position"]["value"]["entry_price"] == 150.0
    assert package["sections"]["thesis"]["status"] == "missing"


async def test_context_prompt_shows_the_messages(dumb: Program, valkey: Redis, schema_examples: dict[str, str]) -> None:
    await valkey.mset(schema_examples)
    ended = await dumb("context", "AAPL", "--prompt", "position")
    assert ended.code == 0
    assert "- price.price.last: 150.25 [price]" in ended.out


async def test_context_prompt_json_is_what_a_decision_would_send(program: Program, valkey: Redis) -> None:
    await hold(valkey, "AAPL")
    shown = (await program("context", "AAPL", "--prompt", "position", "--json")).document
    await program("decide", "AAPL")
    entry = present(await Log(valkey).entry(1))
    assert json.loads(entry.pieces["messages"]) == shown


async def test_context_writes_nothing(dumb: Program, valkey: Redis) -> None:
    await dumb("context", "AAPL")
    assert await valkey.dbsize() == 0


async def test_context_of_a_symbol_that_is_not_held_says_so(dumb: Program) -> None:
    ended = await dumb("context", "AAPL")
    assert ended.code == 0
    assert "position is missing: positions:active:AAPL: no such key" in ended.out


async def test_context_of_no_symbol_exits_with_2(dumb: Program) -> None:
    ended = await dumb("context", "{A}")
    assert (ended.code, "'{A}' is not a symbol" in ended.err) == (2, True)


# decide


async def test_decide_on_the_schema_documents_examples_ends_in_one_decision(
    on_each: Program, redis: Redis, schema_examples: dict[str, str]
) -> None:
    for key, text in schema_examples.items():
        await redis.set(key, text)
    ended = await on_each("decide", "AAPL")
    assert ended.code == 0
    assert "receipt" in ended.out
    assert await kinds(redis) == ["decision"]
    assert (await on_each("verify")).code == 0


async def test_decide_json_is_the_leaf_with_its_receipt(program: Program, valkey: Redis) -> None:
    await hold(valkey, "AAPL")
    printed = (await program("decide", "AAPL", "--json")).document
    entry = present(await Log(valkey).entry(printed["index"]))
    assert printed == {
        "address": "1", "index": 1, "leaf_hash": entry.leaf_hash, **json.loads(entry.leaf)
    }  # fmt: skip


async def test_decide_publishes_the_decision(program: Program, valkey: Redis) -> None:
    await hold(valkey, "AAPL")
    await program("decide", "AAPL")
    assert [found.number for found in await read_stream(valkey, keys.decisions(0))] == [1]


async def test_decide_beside_a_running_owner_refuses_options_that_it_would_ignore(
    program: Program, valkey: Redis
) -> None:
    await hold(valkey, "AAPL")
    async with program.running(valkey) as process:
        ended = await program("decide", "AAPL", "--model", "other", "--prompt", "position/v2")
        await program.stop(process)
    assert ended.code == 3
    assert "would ignore --prompt, --model" in ended.err
    assert await kinds(valkey) == []


async def test_decide_beside_a_running_owner_goes_through_it(program: Program, valkey: Redis) -> None:
    await hold(valkey, "AAPL")
    async with program.running(valkey) as process:
        owner = present(await read_holder(valkey, 0))
        assert (await program("decide", "AAPL", "--json")).document["worker"] == owner.label
        await program.stop(process)
    assert await kinds(valkey) == ["decision"]


async def test_decide_without_an_endpoint_is_a_failed_record_and_exits_with_3(dumb: Program, valkey: Redis) -> None:
    await hold(valkey, "AAPL")
    ended = await dumb("decide", "AAPL")
    assert ended.code == 3
    assert "no LLM endpoint is configured" in ended.err
    assert await kinds(valkey) == ["failed"]


async def test_decide_with_the_endpoint_down_is_a_failed_record_and_exits_with_3(dumb: Program, valkey: Redis) -> None:
    await hold(valkey, "AAPL")
    ended = await dumb("decide", "AAPL", "--endpoint", f"http://127.0.0.1:{free_port()}/v1", "--model", "x")
    assert ended.code == 3
    assert "unreachable: connection" in ended.err
    assert await kinds(valkey) == ["failed"]


async def test_decide_with_an_endpoint_that_is_no_address_exits_with_2_and_writes_nothing(
    dumb: Program, valkey: Redis
) -> None:
    ended = await dumb("decide", "AAPL", "--endpoint", "http://user:pass/word@h/v1", "--model", "x")
    assert (ended.code, "base URL is malformed" in ended.err, "pass/" in ended.err) == (2, True, False)
    assert await valkey.dbsize() == 0
    ended = await dumb("models", "--endpoint", "http://user:pass@h:99999/v1", "--model", "x")
    assert (ended.code, "base URL is malformed" in ended.err, "pass@" in ended.err) == (2, True, False)


async def test_decide_with_an_endpoint_and_no_model_exits_with_2_and_writes_nothing(
    dumb: Program, valkey: Redis
) -> None:
    ended = await dumb("decide", "AAPL", "--endpoint", "http://127.0.0.1:1/v1")
    assert (ended.code, "--model" in ended.err) == (2, True)
    assert await valkey.dbsize() == 0


@pytest.mark.parametrize("fault", ["refusal", "misfit"])
async def test_an_unusable_answer_is_a_failed_record_and_exits_with_1(dumb: Program, valkey: Redis, fault: str) -> None:
    await hold(valkey, "AAPL")
    async with Standin(faults={fault: 1.0}) as server:
        ended = await dumb("decide", "AAPL", "--endpoint", server.base_url, "--model", MODEL)
    assert ended.code == 1
    assert ended.err.startswith("error: failed: ")
    assert await kinds(valkey) == ["failed"]


async def test_a_breached_stop_is_an_exit_without_any_endpoint(dumb: Program, valkey: Redis) -> None:
    await valkey.mset(live("AAPL", price=89.0))
    printed = (await dumb("decide", "AAPL", "--json")).document
    assert (printed["kind"], printed["verdict"]["action"], printed["verdict"]["quantity"]) == ("failed", "exit", "10")


def without(key: str, *path: str) -> str:
    """A live value that lacks one field."""
    document = json.loads(live("AAPL")[key])
    inner = document
    for name in path[:-1]:
        inner = inner[name]
    del inner[path[-1]]
    return json.dumps(document)


POSITION, PRICE = "positions:active:AAPL", "stocks:price:AAPL"
BROKEN = {
    "no JSON": (PRICE, "last: 150", "not usable JSON"),
    "nothing": (PRICE, "", "not usable JSON"),
    "NaN": (PRICE, live("AAPL")[PRICE].replace('"volume": 1000', '"volume": NaN'), "not usable JSON"),
    "Infinity": (POSITION, live("AAPL")[POSITION].replace('"quantity": 10', '"quantity": Infinity'), "not usable JSON"),
    "a duplicate name": (PRICE, '{"timestamp": 1, ' + live("AAPL")[PRICE][1:], "timestamp"),
    "a missing field": (POSITION, without(POSITION, "entry_price"), "entry_price"),
    "a missing inner field": (PRICE, without(PRICE, "price", "last"), "price.last"),
    "a text for a number": (POSITION, live("AAPL")[POSITION].replace('"quantity": 10', '"quantity": "10"'), "quantity"),
    "no side": (POSITION, live("AAPL")[POSITION].replace('"long"', '"up"'), "side"),
    "a time without a zone": (PRICE, json.dumps(json.loads(live("AAPL")[PRICE]) | {"timestamp": "2026-03-02T15:00:00"}), "timestamp"),
    "a time to come": (PRICE, json.dumps(json.loads(live("AAPL")[PRICE]) | {"timestamp": "2027-03-02T15:00:00Z"}), "timestamp"),
    "another symbol's position": (POSITION, live("MSFT")["positions:active:MSFT"], "symbol"),
    "a list": (PRICE, "[]", ""),
}  # fmt: skip


@pytest.mark.parametrize("what", ["no JSON", "NaN", "a duplicate name", "a missing field"])
async def test_decide_on_a_key_that_cannot_be_used_is_a_skipped_record_and_exits_with_2(
    dumb: Program, valkey: Redis, what: str
) -> None:
    key, value, said = BROKEN[what]
    await valkey.mset(live("AAPL") | {key: value})
    ended = await dumb("decide", "AAPL")
    assert ended.code == 2
    assert "error: skipped: " in ended.err
    assert key in ended.err
    assert said in ended.err
    assert await kinds(valkey) == ["skipped"]


@pytest.mark.usefixtures("short_pauses")
async def test_a_key_that_cannot_be_used_is_a_skipped_record_that_names_key_and_field(
    valkey: Redis, valkey_url: str, tmp_path: Path
) -> None:
    async with serving(valkey, valkey_url, tmp_path, ByRules()) as running:
        for what, (key, value, said) in BROKEN.items():
            await valkey.mset(live("AAPL") | {key: value})
            await running.decide(valkey, what, "AAPL")
            record = running.entries[-1].record
            assert (record["tick"], record["kind"]) == (what, "skipped")
            assert key in record["verdict"]["reason"], what
            assert said in record["verdict"]["reason"], what
    assert (await verify_log(Log(valkey))).fault is None


async def test_a_time_beyond_the_calendar_is_a_skipped_record(program: Program, valkey: Redis) -> None:
    value = json.loads(live("AAPL")[PRICE]) | {"timestamp": "0001-01-01T00:00:00+14:00"}
    await valkey.mset(live("AAPL") | {PRICE: json.dumps(value)})
    ended = await program("decide", "AAPL")
    assert (ended.code, PRICE in ended.err) == (2, True)


async def test_a_hash_where_a_string_should_be_is_a_skipped_record_that_names_it(
    program: Program, valkey: Redis
) -> None:
    await hold(valkey, "AAPL")
    await valkey.delete(PRICE)
    await valkey.hset(PRICE, "last", "150")
    ended = await program("decide", "AAPL")
    assert ended.code == 2
    assert f"{PRICE}: is a hash, not a string" in ended.err
    assert await kinds(valkey) == ["skipped"]


async def test_a_broken_key_that_is_not_required_costs_only_its_section(program: Program, valkey: Redis) -> None:
    await hold(valkey, "AAPL")
    await valkey.set("stocks:indicators:AAPL", "no json")
    printed = (await program("decide", "AAPL", "--json")).document
    assert printed["kind"] == "decision"
    assert printed["snapshot"]["sections"]["indicators"]["status"] == "invalid"


async def show_texts(program: Program, redis: Redis, *texts: str) -> None:
    """Texts from outside, as values and as names, through every command that prints them."""
    found = {"reason": " ".join(texts), "price": 1, "timestamp": NOW, "indicators": dict.fromkeys(texts, "x")}
    await hold(redis, "AAPL")
    await redis.set("signals:entry:AAPL", json.dumps(found | {"confidence": 1}))
    shown = await program("context", "AAPL")
    assert shown.code == 0
    assert "signals.entry.confidence" in shown.out
    assert (await program("decide", "AAPL")).code == 3
    assert (await program("show", "1")).code == 0


async def test_texts_from_outside_are_no_markup(dumb: Program, valkey: Redis) -> None:
    await show_texts(dumb, valkey, "[/red]", "[red]", "\\", "\x1b[31m", "{{ 7 * 7 }}", "\u2028", "%s")


async def test_a_backslash_before_a_bracket_is_no_markup(dumb: Program, valkey: Redis) -> None:
    await show_texts(dumb, valkey, "\\[/red]")


async def template(folder: Path, line: str) -> None:
    (folder / "prompts" / "mine").mkdir(parents=True)
    head = "---\nname: mine\nversion: 1\ndescription: x\noutput: decision\n---\n"
    (folder / "prompts" / "mine" / "v1.md.j2").write_text(f"{head}system:\nJudge.\nuser:\nNow {line}\n")


async def test_a_template_with_an_unknown_field_is_a_skipped_record_that_names_it(
    program: Program, valkey: Redis, tmp_path: Path
) -> None:
    await hold(valkey, "AAPL")
    await template(tmp_path, "{{ nonsense }}")
    ended = await program("decide", "AAPL", "--prompts", "prompts", "--prompt", "mine")
    assert ended.code == 2
    assert "mine/v1, user part, line 10" in ended.err
    assert "'nonsense'" in ended.err
    assert await kinds(valkey) == ["skipped"]


async def test_context_with_a_template_with_an_unknown_field_exits_with_2(
    program: Program, valkey: Redis, tmp_path: Path
) -> None:
    await hold(valkey, "AAPL")
    await template(tmp_path, "{{ nonsense }}")
    ended = await program("context", "AAPL", "--prompts", "prompts", "--prompt", "mine")
    assert (ended.code, "'nonsense'" in ended.err) == (2, True)


async def test_a_template_that_is_not_there_exits_with_2_and_names_those_that_are(program: Program) -> None:
    ended = await program("decide", "AAPL", "--prompt", "none")
    assert (ended.code, "'none'" in ended.err, "position" in ended.err) == (2, True, True)


# no server, no state


COMMANDS = ("status", "verify", "decisions", "show 0", "context AAPL", "decide AAPL", "feed b.csv", "run")


async def test_without_a_server_every_command_exits_with_3_and_says_how_to_start_one(tmp_path: Path) -> None:
    url = f"redis://127.0.0.1:{free_port()}/0"
    (tmp_path / "b.csv").write_text(f"{HEADER}\n{ROW.format(30)}\n")
    program = Program(url, tmp_path, "http://127.0.0.1:1/v1")
    for ended in await program.all(*COMMANDS):
        assert ended.code == 3
        assert url in ended.err
        assert "llmctx redis" in ended.err


async def test_without_a_trail_a_look_at_it_exits_with_3(dumb: Program) -> None:
    for ended in await dumb.all("verify", "decisions", "show 0"):
        assert (ended.code, "no trail yet" in ended.err) == (3, True)


async def test_run_without_an_endpoint_exits_with_3_and_writes_nothing(dumb: Program, valkey: Redis) -> None:
    ended = await dumb("run")
    assert ended.code == 3
    assert "LLMCTX_LLM__BASE_URL" in ended.err
    assert await valkey.dbsize() == 0


@pytest.mark.parametrize("command", [["run"], ["decide", "AAPL"]])
async def test_another_servers_state_directory_exits_with_3_and_writes_nothing(
    program: Program, valkey: Redis, command: list[str]
) -> None:
    await bind_instance(valkey, program.folder / "var")
    await valkey.flushall()
    ended = await program(*command)
    assert ended.code == 3
    assert "--new-instance" in ended.err
    assert await valkey.dbsize() == 0


async def test_new_instance_starts_a_new_trail(program: Program, valkey: Redis, tmp_path: Path) -> None:
    await bind_instance(valkey, program.folder / "var")
    await valkey.flushall()
    ended = await program("decide", "AAPL", "--new-instance", "--json")
    assert ended.document["index"] == 1
    assert len(list((tmp_path / "var").glob("instance.*.json"))) == 1


async def test_a_state_directory_that_cannot_be_made_exits_with_a_clear_error(dumb: Program) -> None:
    ended = await dumb("decide", "AAPL", "--state-dir", "/proc/nowhere")
    assert (ended.code, "/proc/nowhere" in ended.err) == (3, True)


async def test_a_setting_that_cannot_be_used_exits_with_2_and_names_it(dumb: Program) -> None:
    dumb.environment["LLMCTX_CONCURRENCY"] = "none"
    ended = await dumb("status")
    assert (ended.code, "LLMCTX_CONCURRENCY" in ended.err) == (2, True)


# a trail to look at


async def make_trail(redis: Redis, url: str, made: Program) -> None:
    await hold(redis, "AAPL", "MSFT")
    async with serving(redis, url, made.folder / "var", ByRules()) as running:
        for n, symbol in enumerate(("AAPL", "MSFT", "NONE", "AAPL"), start=1):
            await running.decide(redis, f"t{n}", symbol)


@pytest.fixture
async def trail(valkey: Redis, valkey_url: str, prepare: Prepare) -> Program:
    """Records 0 to 5: the notice, decisions about AAPL, the notice of the clock, a decision about MSFT, a skipped one about
    NONE, a decision about AAPL.
    """
    return await prepare(valkey, valkey_url, make_trail)


async def test_decisions_lists_the_records_that_are_asked_for(trail: Program) -> None:
    everything, *some = await trail.all(
        "decisions --json",
        "decisions --json --symbol AAPL",
        "decisions --json --limit 1",
        "decisions --json --kind skipped",
        "decisions --json --since 2100-01-01T00:00:00Z",
    )
    assert [line["index"] for line in everything.lines] == [0, 1, 2, 3, 4, 5]
    assert [line["address"] for line in everything.lines] == ["0", "1", "2", "3", "4", "5"]
    assert [line.get("tick") for line in everything.lines] == [None, "t1", None, "t2", "t3", "t4"]
    assert [[line["tick"] for line in ended.lines] for ended in some] == [["t1", "t4"], ["t4"], ["t3"], []]


async def test_decisions_for_people_are_one_line_a_record(trail: Program) -> None:
    people, misuse = await trail.all("decisions", "decisions --since nonsense")
    assert (people.code, len(people.out.splitlines())) == (0, 6)
    assert (misuse.code, "nonsense" in misuse.err) == (2, True)


async def test_show_prints_a_record_with_all_its_evidence(trail: Program, valkey: Redis) -> None:
    shown = (await trail("show", "1", "--json")).document
    entry = present(await Log(valkey).entry(1))
    assert shown["leaf"] == json.loads(entry.leaf)
    assert shown["leaf_hash"] == entry.leaf_hash
    assert {name: text.encode() for name, text in shown["pieces"].items()} == entry.pieces
    brief, people = await trail.all("show 1", "show 1 --full")
    assert (brief.code, people.code) == (0, 0)
    for part in (entry.leaf_hash, "verdict", "known", "asked (system)", "asked (user)", "answered (raw)"):
        assert part in people.out
    assert brief.out.count("\n") <= 20
    for part in (entry.leaf_hash, "verdict", "sections fresh", "position/v", "checkpoint", "--full"):
        assert part in brief.out


async def test_show_of_no_record_exits_with_2_and_names_the_address(trail: Program) -> None:
    addresses = ("99", "nonsense", "5:0")
    for address, ended in zip(addresses, await trail.all(*(f"show {address}" for address in addresses)), strict=True):
        assert (ended.code, address in ended.err) == (2, True)


@pytest.mark.parametrize("address", ["-1", "99999999999999999999999"])
async def test_show_of_an_impossible_index_exits_with_2(trail: Program, address: str) -> None:
    assert (await trail("show", "--", address)).code == 2


async def test_decisions_since_a_time_beyond_the_calendar_exits_with_2(trail: Program) -> None:
    assert (await trail("decisions", "--since", "0001-01-01T00:00:00+14:00")).code == 2


async def test_status_says_how_things_stand(trail: Program, valkey: Redis) -> None:
    await raise_tick(valkey, "waiting", "AAPL")
    status = (await trail("status", "--json")).document
    (partition,) = status["partitions"]
    assert status["server"].startswith("Valkey")
    assert status["maxmemory_bytes"] == 2 * 1024**3
    assert (partition["records"], partition["backlog"], partition["pending"]) == (6, 1, 0)
    assert partition["owner"] is None
    assert partition["newest"].startswith("5 at ")
    assert "skipped NONE" in partition["last_trouble"]
    people = await trail("status")
    assert people.code == 0
    assert "nobody: start one with `llmctx run`" in people.out


async def test_status_without_a_trail_says_so(dumb: Program) -> None:
    ended = await dumb("status")
    assert (ended.code, "none yet" in ended.out) == (0, True)
    assert (await dumb("status", "--json")).document["instance"] is None


async def test_verify_of_a_good_trail(trail: Program) -> None:
    ended = await trail("verify")
    assert (ended.code, "verified" in ended.out) == (0, True)
    report = (await trail("verify", "--json")).document
    assert (report["records"], report["ticks"], report["rebuilt"], report["fault"]) == (6, 4, 3, None)


# tampering

Tampering = Callable[[Redis], Awaitable[int]]
"""Alters the trail; answers the first index that is bad then."""


async def rebuild(redis: Redis, index: int, alter: Callable[[dict[str, Any], dict[str, bytes]], None]) -> int:
    """Write the whole stream again under the same ids, with one record altered."""
    found = await read_stream(redis, LOG)
    await redis.delete(LOG)
    for old in found:
        fields = old.fields
        if old.number == index:
            entry = restored(fields, index, 0)
            leaf, pieces = json.loads(entry.leaf), dict(entry.pieces)
            alter(leaf, pieces)
            fields = stored(canonical.dumps(leaf), pieces)
        await redis.xadd(LOG, fields, id=old.id)  # type: ignore[arg-type]
    return index


async def drop_a_record(redis: Redis) -> int:
    await redis.xdel(LOG, "2-1")
    return 2


async def drop_the_first_record(redis: Redis) -> int:
    await redis.xdel(LOG, "0-1")
    return 0


async def drop_the_newest_record(redis: Redis) -> int:
    await redis.xdel(LOG, "5-1")
    return 5


async def swap_two_records(redis: Redis) -> int:
    found = await read_stream(redis, LOG)
    await redis.delete(LOG)
    order = [0, 1, 2, 4, 3, 5]  # no thesis names these two
    for place, n in enumerate(order):
        await redis.xadd(LOG, found[n].fields, id=f"{place}-1")  # type: ignore[arg-type]
    return 3


async def insert_a_tick_again(redis: Redis) -> int:
    newest = (await read_stream(redis, LOG))[-1]
    await redis.xadd(LOG, newest.fields, id="6-1")  # type: ignore[arg-type]
    return 6


async def alter_the_snapshot(redis: Redis) -> int:
    return await rebuild(redis, 1, lambda _, pieces: pieces.update(snapshot=pieces["snapshot"].replace(b"100", b"101")))


async def alter_the_answer(redis: Redis) -> int:
    return await rebuild(redis, 1, lambda _, pieces: pieces.update(completion=pieces["completion"] + b" "))


async def alter_the_messages(redis: Redis) -> int:
    return await rebuild(redis, 1, lambda _, pieces: pieces.update(messages=pieces["messages"] + b" "))


async def alter_messages_with_their_digest(redis: Redis) -> int:
    def alter(leaf: dict[str, Any], pieces: dict[str, bytes]) -> None:
        pieces["messages"] = pieces["messages"].replace(b"risk-aware", b"reckless")
        leaf["prompt"]["sha256"] = canonical.sha256(pieces["messages"])

    return await rebuild(redis, 1, alter)


async def alter_the_tick(redis: Redis) -> int:
    return await rebuild(redis, 1, lambda leaf, _: leaf.update(tick="another"))


async def alter_the_kind(redis: Redis) -> int:
    return await rebuild(redis, 1, lambda leaf, _: leaf.update(kind="invented"))


async def drop_the_evidence(redis: Redis) -> int:
    return await rebuild(redis, 1, lambda _, pieces: pieces.clear())


async def write_a_leaf_in_another_form(redis: Redis) -> int:
    found = await read_stream(redis, LOG)
    await redis.delete(LOG)
    for old in found:
        entry = restored(old.fields, old.number, 0)
        leaf = json.dumps(json.loads(entry.leaf)).encode() if old.number == 2 else entry.leaf
        await redis.xadd(LOG, stored(leaf, entry.pieces), id=old.id)  # type: ignore[arg-type]
    return 2


async def drop_a_blob(redis: Redis) -> int:
    await redis.delete(*[name async for name in redis.scan_iter("audit:{0}:blob:*")])
    return 1


async def alter_a_blob(redis: Redis) -> int:
    async for name in redis.scan_iter("audit:{0}:blob:*"):
        await redis.append(name, " ")
    return 1


async def point_the_tick_map_elsewhere(redis: Redis) -> int:
    await redis.hset("audit:{0}:ticks", "t2", "5")
    return 3


async def settle_a_tick_in_the_map_alone(redis: Redis) -> int:
    await redis.hset("audit:{0}:ticks", "invented", "6")
    return 6


TAMPERINGS: list[Tampering] = [
    drop_a_record, drop_the_first_record, drop_the_newest_record, insert_a_tick_again,
    alter_the_snapshot, alter_the_answer, alter_the_messages, alter_messages_with_their_digest,
    alter_the_kind, drop_the_evidence, write_a_leaf_in_another_form, drop_a_blob, alter_a_blob,
    point_the_tick_map_elsewhere, settle_a_tick_in_the_map_alone,
]  # fmt: skip


async def alter_the_verdict(redis: Redis) -> int:
    return await rebuild(redis, 1, lambda leaf, _: leaf["verdict"].update(action="exit"))


async def alter_the_decision(redis: Redis) -> int:
    return await rebuild(redis, 1, lambda leaf, _: leaf["decision"].update(reasoning="Something else."))


async def alter_the_symbol(redis: Redis) -> int:
    return await rebuild(redis, 1, lambda leaf, _: leaf.update(symbol="OTHER"))


UNSEEN: list[Tampering] = [alter_the_verdict, alter_the_decision, alter_the_symbol]


async def write_garbage(redis: Redis) -> int:
    found = await read_stream(redis, LOG)
    await redis.delete(LOG)
    for old in found:
        fields = {b"record": b"garbage"} if old.number == 2 else old.fields
        await redis.xadd(LOG, fields, id=old.id)  # type: ignore[arg-type]
    return 2


async def make_the_tick_a_list(redis: Redis) -> int:
    return await rebuild(redis, 1, lambda leaf, _: leaf.update(tick=["t1"]))


async def make_the_prompt_a_text(redis: Redis) -> int:
    def alter(leaf: dict[str, Any], pieces: dict[str, bytes]) -> None:
        leaf["prompt"] = "position"
        del pieces["messages"]

    return await rebuild(redis, 1, alter)


async def drop_the_code(redis: Redis) -> int:
    return await rebuild(redis, 1, lambda leaf, _: leaf.pop("code"))


UNREADABLE: list[Tampering] = [write_garbage, make_the_tick_a_list, make_the_prompt_a_text, drop_the_code]


@pytest.mark.parametrize("tampering", TAMPERINGS + UNSEEN + UNREADABLE, ids=lambda tampering: tampering.__name__)
@pytest.mark.usefixtures("trail")
async def test_tampering_is_found_at_its_index(valkey: Redis, tampering: Tampering) -> None:
    index = await tampering(valkey)
    fault = present((await verify_log(Log(valkey))).fault)
    assert fault.at == index


async def check_verify(program: Program, index: int) -> None:
    ended, people = await program.all("verify --json", "verify")
    assert ended.code == 1, ended.err
    assert ended.document["fault"]["at"] == index
    assert people.code == 1
    assert f"FAILED  record {index} breaks " in people.out
    assert "verified" not in people.out


async def test_verify_of_an_altered_trail_exits_with_1_and_names_the_index(trail: Program, valkey: Redis) -> None:
    await check_verify(trail, await alter_the_snapshot(valkey))


@pytest.mark.parametrize("tampering", [swap_two_records, alter_the_tick], ids=lambda tampering: tampering.__name__)
async def test_verify_names_the_first_bad_index_of_the_tick_map(
    trail: Program, valkey: Redis, tampering: Tampering
) -> None:
    index = await tampering(valkey)
    runs = []
    for seed in range(4):  # the order of a set of texts changes with it
        trail.environment["PYTHONHASHSEED"] = str(seed)
        runs.append(await trail.start("verify", "--json"))
    named = [(await trail.ended(run)).document["fault"]["at"] for run in runs]
    assert named == [index] * 4


async def test_verify_of_bytes_that_are_no_record_exits_with_1_and_names_the_index(
    trail: Program, valkey: Redis
) -> None:
    await check_verify(trail, await write_garbage(valkey))


# run


async def test_run_settles_everything_and_exits_with_0_on_sigterm(on_each: Program, redis: Redis) -> None:
    symbols = [f"S{n}" for n in range(20)]
    await hold(redis, *symbols)
    async with on_each.running(redis) as process:
        for n in range(10):
            for symbol in symbols:
                await raise_tick(redis, f"{symbol}-{n}", symbol)
        ended = await on_each.stop(process)
    assert ended.code == 0
    assert "200 ticks settled" in ended.out
    assert await redis.hlen("audit:{0}:ticks") == 200
    assert await redis.xlen(keys.ticks(0)) == 0
    assert (await on_each("verify")).code == 0


async def test_run_on_a_server_that_loses_its_data_exits_with_3_and_says_what_to_do(
    program: Program, valkey: Redis
) -> None:
    async with program.running(valkey) as process:
        await valkey.flushall()
        out, err = await asyncio.wait_for(process.communicate(), 120)
    assert process.returncode == 3
    assert "--new-instance" in err.decode()
    assert "Traceback" not in err.decode() + out.decode()


async def test_a_password_in_the_address_is_not_printed(program: Program, valkey: Redis) -> None:
    await valkey.acl_setuser("auditor", enabled=True, passwords=["+hunter2"], categories=["+@all"], keys=["*"])
    url = program.environment["LLMCTX_REDIS_URL"].replace("redis://", "redis://auditor:hunter2@")
    ended = await program("status", "--redis-url", url)
    await valkey.acl_deluser("auditor")
    assert ended.code == 0
    assert "hunter2" not in ended.out + ended.err


async def test_run_json_prints_one_leaf_a_line(program: Program, valkey: Redis) -> None:
    await hold(valkey, "AAPL")
    async with program.running(valkey, "--json") as process:
        await raise_tick(valkey, "t1", "AAPL")
        await until(lambda: valkey.exists("audit:{0}:ticks"))
        ended = await program.stop(process)
    assert [line["tick"] for line in ended.lines] == ["t1"]


async def test_a_second_run_waits_and_can_be_stopped(program: Program, valkey: Redis) -> None:
    async with program.running(valkey) as first, program.running(valkey) as second:
        assert second.stderr is not None
        while b"is held by" not in await asyncio.wait_for(second.stderr.readline(), 120):
            pass  # its notary waits as well, and says so
        assert (await program.stop(second)).code == 0
        assert (await program.stop(first)).code == 0


async def test_what_a_killed_run_left_is_settled_by_the_next_one(program: Program, valkey: Redis) -> None:
    await hold(valkey, "AAPL")
    async with Standin(faults={"hang": 1.0}) as hanging:
        program.environment["LLMCTX_LLM__BASE_URL"], good = (
            hanging.base_url,
            program.environment["LLMCTX_LLM__BASE_URL"],
        )
        async with program.running(valkey) as process:
            await raise_tick(valkey, "t1", "AAPL")
            await until(lambda: hanging.requests)
            process.kill()
            await process.communicate()
    await valkey.delete("audit:{0}:lease")  # ten seconds go by
    program.environment["LLMCTX_LLM__BASE_URL"] = good
    async with program.running(valkey) as process:
        await until(lambda: valkey.exists("audit:{0}:ticks"))
        await program.stop(process)
    (index,) = await Log(valkey).settled(["t1"])
    assert index is not None
    entry = present(await Log(valkey).entry(index))
    assert (entry.record["tick"], entry.record["attempts"], entry.record["kind"]) == ("t1", 2, "decision")


# redis, standin


async def wait_for_line(process: asyncio.subprocess.Process, text: str) -> str:
    assert process.stdout is not None
    while line := (await asyncio.wait_for(process.stdout.readline(), 120)).decode():
        if text in line:
            return line
    raise AssertionError(f"the program ended without saying {text!r}")


async def test_redis_listens_until_sigterm_and_keeps_its_data(dumb: Program, tmp_path: Path) -> None:
    port = free_port()
    dumb.environment["LLMCTX_REDIS_URL"] = f"redis://127.0.0.1:{port}/0"
    for _ in range(2):
        process = await dumb.start("redis", "--port", str(port), "--dir", str(tmp_path / "data"))
        assert str(port) in await wait_for_line(process, "Valkey listens on")
        ended = await dumb("decide", "AAPL", "--json")
        assert ended.code == 2
        assert (await dumb.stop(process)).code == 0
    assert ended.document["index"] == 2


async def test_redis_on_a_taken_port_exits_with_3(dumb: Program, valkey_url: str) -> None:
    port = valkey_url.rpartition(":")[2].removesuffix("/0")
    ended = await dumb("redis", "--port", port, "--dir", "data")
    assert (ended.code, "--port" in ended.err) == (3, True)


async def test_standin_answers_decide(dumb: Program, valkey: Redis) -> None:
    await hold(valkey, "AAPL")
    process = await dumb.start("standin", "--port", "0")
    line = await wait_for_line(process, "answers at")
    endpoint = line.partition("answers at ")[2].partition(" ")[0]
    ended = await dumb("decide", "AAPL", "--endpoint", endpoint, "--model", MODEL)
    assert (await dumb.stop(process)).code == 0
    assert ended.code == 0


async def test_standin_on_a_taken_port_exits_with_3(dumb: Program) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ended = await dumb("standin", "--port", str(taken.getsockname()[1]))
    assert (ended.code, "--port" in ended.err) == (3, True)


async def test_an_embedded_address_starts_a_server_for_one_command(dumb: Program, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for n in (1, 2):
        ended = await dumb("decide", "AAPL", "--redis-url", f"embedded:{tmp_path / 'data'}", "--json")
        assert (ended.code, ended.document["index"]) == (2, n)


async def test_an_embedded_address_without_data_is_told_and_makes_none(dumb: Program, tmp_path: Path) -> None:
    ended = await dumb("status", "--redis-url", f"embedded:{tmp_path / 'nowhere'}")
    assert (ended.code, "no data of an embedded server" in ended.err) == (3, True)
    assert not (tmp_path / "nowhere").exists()


# real data


@pytest.mark.parametrize("bars", [600, pytest.param(6000, marks=[pytest.mark.more, pytest.mark.timeout(1500)])])
async def test_every_tick_of_a_day_is_settled_once(on_each: Program, redis: Redis, day: Day, bars: int) -> None:
    rows = day.bars.read_text(encoding="utf-8").splitlines(keepends=True)
    (on_each.folder / "bars.csv").write_text("".join(rows[: bars + 1]), encoding="utf-8")
    async with on_each.running(redis) as process:
        fed = await on_each("feed", "bars.csv", "--speed", "max", "--json")
        summary = fed.document

        async def all_settled() -> bool:
            return bool(await redis.hlen("audit:{0}:ticks") >= summary["ticks"])

        await until(all_settled)  # a slow machine may not finish within the time that a stop allows
        ended = await on_each.stop(process)
    assert (fed.code, ended.code) == (0, 0)
    assert (summary["bars"], summary["bad_rows"]) == (bars, 0)
    assert summary["ticks"] == await redis.hlen("audit:{0}:ticks") > bars / 4
    assert await redis.xlen(keys.ticks(0)) == 0
    report = (await on_each("verify", "--json")).document
    assert (report["fault"], report["ticks"]) == (None, summary["ticks"])
