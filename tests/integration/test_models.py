"""`llmctx models`, and endpoints that refuse what the default asks for."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from llmctx.assets import asset
from llmctx.llm.standin import Standin
from llmctx.trail.log.log import Log
from tests.conftest import free_port
from tests.integration.conftest import hold, raise_tick
from tests.integration.program import Program, until
from tests.llm.shapes.server import ShapeServer
from tests.unit.llm.wire import Answer, Wire

MODEL = "some-model"


@pytest.fixture
async def picky() -> AsyncIterator[Standin]:
    """An endpoint that refuses schemas and temperature 0."""
    async with Standin(faults={"no_schema": 1, "no_temperature": 1}) as standin:
        yield standin


def program_at(url: str, folder: Path, redis_url: str = "redis://127.0.0.1:1/0") -> Program:
    program = Program(redis_url, folder)
    program.environment |= {"LLMCTX_LLM__BASE_URL": url, "LLMCTX_LLM__MODEL": MODEL}
    return program


@pytest.mark.more
async def test_what_the_probe_says_makes_a_decision(
    picky: Standin, valkey: Redis, valkey_url: str, tmp_path: Path
) -> None:
    await hold(valkey, "AAPL")
    program = program_at(picky.base_url, tmp_path, valkey_url)
    failed = await program("decide", "AAPL", "--json")
    assert failed.code == 1
    assert "LLMCTX_LLM__PROFILE__MODE=json_object" in failed.document["completion"]["detail"]

    probed = (await program("models", "--probe", "--json")).document["probe"]
    assert [(tried["mode"], tried["usable"], tried["about"]) for tried in probed["tries"]] == [
        ("schema_bounded", False, "schema"), ("schema", False, "schema"), ("tool", True, ""),
        ("json_object", True, ""), ("prompted", True, ""),
    ]  # fmt: skip
    assert probed["set"] == ["LLMCTX_LLM__PROFILE__MODE=tool", "LLMCTX_LLM__PROFILE__DROP='[\"temperature\"]'"]

    program.environment |= {"LLMCTX_LLM__PROFILE__MODE": "tool", "LLMCTX_LLM__PROFILE__DROP": '["temperature"]'}
    decided = await program("decide", "AAPL", "--json")
    assert decided.code == 0, decided.err
    request = decided.document["request"]
    assert (request["mode"], request["profile"]) == ("tool", "local+settings")
    assert "temperature" not in request["parameters"]
    verified = await program("verify", "--strict")
    assert verified.code == 0, verified.out + verified.err


@pytest.mark.parametrize("profile", ["deepseek", "mlx-lm", "json_object", "tool", "prompted"])
async def test_a_profile_by_name_makes_a_decision_that_is_rebuilt(
    profile: str, valkey: Redis, valkey_url: str, tmp_path: Path
) -> None:
    await hold(valkey, "AAPL")
    async with Standin(faults={"no_schema": 1}) as standin:
        program = program_at(standin.base_url, tmp_path, valkey_url)
        program.environment["LLMCTX_LLM__PROFILE"] = profile
        decided = await program("decide", "AAPL", "--json")
        assert decided.code == 0, decided.err
        shown = (await program("context", "AAPL", "--prompt", "position", "--json")).document
    replayed = await program("replay", "--json")
    assert replayed.code == 0, replayed.out
    assert "An example of the form as JSON" in shown[0]["content"]


async def test_models_says_what_holds_and_why(tmp_path: Path) -> None:
    program = program_at("https://api.openai.com/v1", tmp_path)
    program.environment |= {"LLMCTX_LLM__MODEL": "gpt-5", "LLMCTX_LLM__API_KEY": "sk-secret"}
    told = await program("models")
    assert told.code == 0
    assert "openai+openai-reasoning" in told.out
    assert "because of model gpt-5: OpenAI's reasoning models" in told.out
    (tmp_path / "llmctx.toml").write_text('[llm.profile]\nmode = "tool"\nbody = { service_tier = "flex" }\n')
    document = (await program("models", "--json")).document
    assert (document["mode"], document["body"]) == ("tool", {"service_tier": "flex"})
    assert document["reasons"][-1] == "setting llm.profile: body, mode"


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"LLMCTX_LLM__PROFILE": "deepsek"}, "There is no profile 'deepsek'"),
        ({"LLMCTX_LLM__PROFILE__MODE": "tol"}, "The setting llm.profile.mode is malformed"),
        ({"LLMCTX_LLM__PROFILE__MOOD": "x"}, "There is no setting LLMCTX_LLM__PROFILE__MOOD"),
        ({"LLMCTX_LLM__PROFILE": "tool", "LLMCTX_LLM__PROFILE__FORM": "brief"}, "are both set"),
    ],
)
async def test_a_setting_that_cannot_be_used_is_named(environment: dict[str, str], said: str, tmp_path: Path) -> None:
    program = program_at("http://127.0.0.1:8/v1", tmp_path)
    program.environment |= environment
    ended = await program("models")
    assert ended.code == 2
    assert said in ended.err


async def test_a_table_in_the_settings_gives_symbols_a_prompt_of_their_own(
    valkey: Redis, valkey_url: str, tmp_path: Path, standin: Standin
) -> None:
    await hold(valkey, "BTC-PERP", "AAPL")
    (tmp_path / "llmctx.toml").write_text('prompt = "position/v3"\n[prompts]\n"BTC*" = "perp/v1"\n')
    program = Program(valkey_url, tmp_path, standin.base_url)
    asked = {}
    for symbol in ("BTC-PERP", "AAPL"):
        record = (await program("decide", symbol, "--json")).document
        asked[symbol] = (record["prompt"]["template"], record["prompt"]["version"])
    assert asked == {"BTC-PERP": ("perp", 1), "AAPL": ("position", 3)}


def refusing(status: str, error: dict[str, Any]) -> Answer:
    body = json.dumps({"error": error}).encode()
    return Answer(b"HTTP/1.1 %s\r\ncontent-length: %d\r\n\r\n%s" % (status.encode(), len(body), body))


@pytest.mark.parametrize(
    ("answer", "about", "tries"),
    [
        (refusing("401 Unauthorized", {"message": "bad key", "code": "invalid_api_key"}), "key", 1),
        (refusing("404 Not Found", {"message": "no such model"}), "model", 1),
        (refusing("400 Bad Request", {"message": "exceeds the available context size"}), "context", 5),
    ],
)
async def test_the_probe_names_what_failed_and_stops_where_nothing_can_work(
    answer: Answer, about: str, tries: int, tmp_path: Path
) -> None:
    async with Wire(answer) as wire:
        ended = await program_at(wire.base_url, tmp_path)("models", "--probe", "--json")
    assert ended.code == 1
    assert [tried["about"] for tried in ended.document["probe"]["tries"]] == [about] * tries


async def test_the_probe_says_what_to_set_also_where_no_mode_worked(tmp_path: Path) -> None:
    async with ShapeServer() as server:
        ended = await program_at(server.url_of("length"), tmp_path)("models", "--probe")
    assert ended.code == 1
    assert "Set, and probe again:\n  LLMCTX_LLM__PROFILE__REASONING_TOKENS=8192" in ended.out


async def test_the_probe_of_a_dead_endpoint_ends_soon(tmp_path: Path) -> None:
    ended = await program_at(f"http://127.0.0.1:{free_port()}/v1", tmp_path)("models", "--probe")
    assert ended.code == 1
    assert "connection" in ended.out
    assert "No mode gave a decision" in ended.out


@pytest.mark.more
async def test_a_new_version_of_the_prompt_is_taken_without_a_restart_and_each_record_names_its_own(
    standin: Standin, valkey: Redis, valkey_url: str, tmp_path: Path
) -> None:
    await hold(valkey, "AAPL", "BTC")
    prompts = tmp_path / "prompts"
    shutil.copytree(asset("prompts"), prompts)
    newest = (prompts / "position" / "v4.md.j2").read_text()
    program = Program(valkey_url, tmp_path, standin.base_url)
    program.environment |= {"LLMCTX_PROMPTS": str(prompts), "LLMCTX_PROMPT_BY_SYMBOL": '{"BTC*": "position/v1"}'}

    async def versions() -> list[tuple[str, int]]:
        log = Log(valkey)
        entries = [await log.entry(index) for index in range(1, await log.size())]
        records = [entry.record for entry in entries if entry is not None]
        return [(record["symbol"], record["prompt"]["version"]) for record in records if "prompt" in record]

    async with program.running(valkey) as process:
        await raise_tick(valkey, "a", "AAPL")
        await raise_tick(valkey, "b", "BTC")
        await until(lambda: _holds(versions, [("AAPL", 4), ("BTC", 1)]))
        (prompts / "position" / "v5.md.j2").write_text("not yet a template")
        await says(process, "position/v4 is still asked with")
        await raise_tick(valkey, "c", "AAPL")
        await until(lambda: _holds(versions, [("AAPL", 4), ("AAPL", 4), ("BTC", 1)]))
        (prompts / "position" / "v5.md.j2").write_text(newest.replace("version: 4", "version: 5"))
        await says(process, "position/v5 is asked with from now on")
        await raise_tick(valkey, "d", "AAPL")
        await until(lambda: _holds(versions, [("AAPL", 4), ("AAPL", 4), ("AAPL", 5), ("BTC", 1)]))
        assert (await program.stop(process)).code == 0
    verified = await program("verify", "--strict")
    assert verified.code == 0, verified.out + verified.err


async def says(process: asyncio.subprocess.Process, words: str) -> None:
    """Read what a running program says on standard error until these words come."""
    assert process.stderr is not None
    async with asyncio.timeout(60):
        while words not in (line := (await process.stderr.readline()).decode()):
            assert line, f"the program ended without {words!r}"


async def _holds(versions: Callable[[], Awaitable[list[tuple[str, int]]]], wanted: list[tuple[str, int]]) -> bool:
    return sorted(await versions()) == wanted
