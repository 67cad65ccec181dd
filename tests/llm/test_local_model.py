"""A real language model, small as it is, through the whole program: `make model`."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from llmctx.ops.local_model import MODEL, PROMPT, LocalModel
from tests.integration.conftest import hold
from tests.integration.program import Program

pytestmark = [pytest.mark.model, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def local() -> Iterator[LocalModel]:
    with LocalModel() as served:
        yield served


async def test_its_decision_is_verified_asked_again_and_compared(
    local: LocalModel, valkey: Redis, valkey_url: str, tmp_path: Path
) -> None:
    await hold(valkey, "AAPL")
    program = Program(valkey_url, tmp_path, patience_s=900)
    program.environment |= {
        "LLMCTX_LLM__BASE_URL": local.base_url, "LLMCTX_LLM__MODEL": MODEL, "LLMCTX_PROMPT": PROMPT,
        "LLMCTX_LLM__PROFILE__MODE": "schema_bounded", "LLMCTX_LLM__PROFILE__FORM": "brief",
        "LLMCTX_LLM__TIMEOUT_S": "600",
    }  # fmt: skip
    record = (await program("decide", "AAPL", "--json")).document
    completion = record["completion"]
    assert (completion["model"], completion["finish_reason"]) == (MODEL, "stop"), completion
    assert record["kind"] == "decision", record["verdict"]["reason"]
    assert completion["usage"]["completion"] > 50
    verified = await program("verify", "--strict")
    assert verified.code == 0, verified.out + verified.err
    again = await program("replay", "--mode", "again", "--out", "again.jsonl")
    assert again.code == 0, again.out + again.err
    compared = await program("compare", "again.jsonl")
    assert compared.code == 0, compared.out + compared.err


async def test_the_demo_runs_a_session_in_lockstep_with_it(tmp_path: Path) -> None:
    ended = await Program("redis://127.0.0.1:1/0", tmp_path, patience_s=1700)("demo", "--local-model")
    assert ended.code == 0, ended.out + ended.err
    assert MODEL in ended.out
    assert "135 million parameters" in ended.out
    assert "passed" in ended.out
