"""What another endpoint than OpenAI's gets over the wire when OPENAI_API_KEY is set."""

from pathlib import Path

from redis.asyncio import Redis

from tests.integration.conftest import hold
from tests.integration.program import Program
from tests.unit.llm.wire import Answer, Wire

ANSWER = Answer(b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n")


async def test_the_openai_key_is_withheld_and_the_program_says_so(
    valkey: Redis, valkey_url: str, tmp_path: Path
) -> None:
    await hold(valkey, "AAPL")
    async with Wire(ANSWER) as wire:
        program = Program(valkey_url, tmp_path, wire.base_url)
        program.environment["OPENAI_API_KEY"] = "sk-openai"
        ended = await program("decide", "AAPL")
        assert "OPENAI_API_KEY is not sent to http://127.0.0.1:" in ended.err
        assert "set LLMCTX_LLM__API_KEY" in ended.err
        assert "sk-openai" not in str(wire.requests)

        program.environment["LLMCTX_LLM__API_KEY"] = "sk-own"
        ended = await program("decide", "AAPL")
        assert "not sent" not in ended.err
        assert wire.requests[-1].headers["authorization"] == "Bearer sk-own"
