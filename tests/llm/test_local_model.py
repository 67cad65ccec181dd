"""A real language model, small as it is, through the whole program: `make model`."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from llmctx.ops.local_model import MODEL, PROMPT, LocalModel
from tests.integration.conftest import hold
from tests.integration.program import Program
from tests.llm.litellm_proxy import MODEL as OFFERED
from tests.llm.litellm_proxy import litellm_proxy

BARS = """timestamp,symbol,open,high,low,close,volume
2026-03-02T15:00:00.000Z,AAPL,100,101,99.5,100.5,1000
2026-03-02T15:01:00.000Z,AAPL,100.5,101.5,100,101.2,1200
"""

pytestmark = [pytest.mark.model, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def local() -> Iterator[LocalModel]:
    with LocalModel() as served:
        yield served


@pytest.fixture(scope="module")
def proxy(local: LocalModel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with litellm_proxy(local.base_url, MODEL, tmp_path_factory.mktemp("litellm")) as base_url:
        yield base_url


async def test_through_a_proxy_it_decides_a_session_that_is_verified_asked_again_and_compared(
    proxy: str, valkey: Redis, valkey_url: str, tmp_path: Path
) -> None:
    await hold(valkey, "AAPL")
    (tmp_path / "bars.csv").write_text(BARS)
    program = Program(valkey_url, tmp_path, patience_s=900)
    program.environment |= {
        "LLMCTX_LLM__BASE_URL": proxy, "LLMCTX_LLM__MODEL": OFFERED, "LLMCTX_PROMPT": PROMPT,
        "LLMCTX_LLM__PROFILE__MODE": "schema_bounded", "LLMCTX_LLM__PROFILE__FORM": "brief",
        "LLMCTX_LLM__TIMEOUT_S": "600",
    }  # fmt: skip
    async with program.running(valkey) as running:
        fed = await program("feed", "bars.csv", "--no-paper", "--lockstep", "--json")
        assert (fed.code, (await program.stop(running)).code) == (0, 0), fed.err
    assert (await program("decide", "AAPL")).code == 0
    asked = [record for record in (await program("decisions", "--json")).lines if "completion" in record]
    assert len(asked) == BARS.count("AAPL") + 1
    for record in asked:
        completion = record["completion"]
        assert (completion["model"], completion["finish_reason"]) == (OFFERED, "stop"), completion
        assert record["kind"] == "decision", record["verdict"]["reason"]
        assert completion["usage"]["completion"] > 50
    for command in ("verify --strict", "replay limit=1 --mode again --out again.jsonl", "compare again.jsonl"):
        ended = await program(*command.split())
        assert ended.code == 0, ended.out + ended.err


async def test_the_demo_runs_a_session_in_lockstep_with_it(tmp_path: Path) -> None:
    ended = await Program("redis://127.0.0.1:1/0", tmp_path, patience_s=1700)("demo", "--local-model")
    assert ended.code == 0, ended.out + ended.err
    assert MODEL in ended.out
    assert "135 million parameters" in ended.out
    assert "passed" in ended.out
