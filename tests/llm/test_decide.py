"""A decision taken out of an unusual answer: recorded with its steps, verified, shown."""

from pathlib import Path

from redis.asyncio import Redis

from tests.integration.conftest import hold
from tests.integration.program import Program
from tests.llm.shapes.server import ShapeServer


async def test_a_record_names_the_steps_to_its_answer_and_rebuilds(
    valkey: Redis, valkey_url: str, tmp_path: Path
) -> None:
    await hold(valkey, "AAPL")
    program = Program(valkey_url, tmp_path)
    async with ShapeServer() as server:
        program.environment |= {"LLMCTX_LLM__BASE_URL": server.url_of("think-and-fence"), "LLMCTX_LLM__MODEL": "m"}
        ended = await program("decide", "AAPL", "--json")
    record = ended.document
    assert record["completion"]["answer_from"] == ["after the reasoning", "fenced block"]
    assert (record["kind"], record["decision"]["action"]) == ("decision", "hold")
    shown = (await program("show", "1", "--full")).out
    assert "after the reasoning, fenced block" in shown
    assert "<think>" in shown
    verified = await program("verify", "--strict")
    assert verified.code == 0, verified.out + verified.err
