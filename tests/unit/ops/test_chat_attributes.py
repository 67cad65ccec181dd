"""The attributes of a call match its record, under the names of the conventions."""

import pytest

from llmctx import canonical
from llmctx.ops.tracing.chat import call_attributes, content_attributes, evaluation_attributes


def test_every_count_and_parameter_of_a_record_has_its_attribute() -> None:
    parameters = {
        "temperature": "0.5",
        "top_p": "0.9",
        "seed": 7,
        "max_completion_tokens": 900,
        "reasoning_effort": "low",
    }
    usage = {"prompt": 100, "completion": 20, "cached": 60, "reasoning": 5, "cache_write": 30}
    record = {"request": {"endpoint": "https://api.openai.com/v1", "model": "m", "parameters": parameters}}
    found = call_attributes(record, {"outcome": "answered", "usage": usage})
    assert {name: value for name, value in found.items() if "usage" in name or "request" in name} == {
        "gen_ai.request.model": "m",
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.top_p": 0.9,
        "gen_ai.request.seed": 7,
        "gen_ai.request.max_tokens": 900,
        "gen_ai.request.reasoning.level": "low",
        "gen_ai.usage.input_tokens": 100,
        "gen_ai.usage.output_tokens": 20,
        "gen_ai.usage.cache_read.input_tokens": 60,
        "gen_ai.usage.cache_write.input_tokens": 30,
        "gen_ai.usage.reasoning.output_tokens": 5,
    }


def test_what_a_record_does_not_say_has_no_attribute() -> None:
    found = call_attributes({}, {"outcome": "timeout"})
    assert found == {
        "gen_ai.operation.name": "chat",
        "gen_ai.output.type": "json",
        "gen_ai.provider.name": "unknown",
        "gen_ai.response.finish_reasons": ["error"],
        "error.type": "timeout",
        "llmctx.call.attempts": 0,
    }


@pytest.mark.parametrize(
    ("endpoint", "provider", "port"),
    [
        ("https://api.openai.com/v1", "openai", 443),
        ("https://desk.openai.azure.com/openai/v1", "azure.ai.openai", 443),
        ("https://api.mistral.ai/v1", "mistral_ai", 443),
        ("https://us-central1-aiplatform.googleapis.com/v1", "gcp.vertex_ai", 443),
        ("https://notapi.openai.com.evil.example/v1", "notapi.openai.com.evil.example", 443),
        ("http://127.0.0.1:8700/v1", "127.0.0.1", 8700),
    ],
)
def test_a_provider_is_known_by_its_host(endpoint: str, provider: str, port: int) -> None:
    found = call_attributes({"request": {"endpoint": endpoint}}, {"outcome": "answered"})
    assert (found["gen_ai.provider.name"], found["server.port"]) == (provider, port)


def test_the_evaluation_is_the_share_of_numbers_that_equal_what_they_cite() -> None:
    grounding = {"evidence": 2, "cited": 6, "uncited": 1, "unread": 0, "miscited": [{}], "false_prices": [{}]}
    found = evaluation_attributes(grounding, "r")
    assert (found["gen_ai.evaluation.score.value"], found["gen_ai.evaluation.score.label"]) == (0.75, "not_grounded")
    nothing = evaluation_attributes({"evidence": 0, "cited": 0, "uncited": 0, "unread": 0}, None)
    assert (nothing["gen_ai.evaluation.score.value"], nothing["gen_ai.evaluation.score.label"]) == (1.0, "grounded")


@pytest.mark.parametrize(
    ("api", "apart"), [(None, False), ("responses", False), ("anthropic", True), ("bedrock", True)]
)
def test_instructions_stand_apart_only_where_the_protocol_sends_them_apart(api: str | None, *, apart: bool) -> None:
    messages = [{"role": "system", "content": "Be careful."}, {"role": "user", "content": "AAPL?"}]
    request = {} if api is None else {"api": api}
    found = content_attributes({"request": request}, {"messages": canonical.dumps(messages)})
    asked = [{"role": "user", "parts": [{"type": "text", "content": "AAPL?"}]}]
    said = [{"type": "text", "content": "Be careful."}]
    if apart:
        assert found == {"gen_ai.system_instructions": said, "gen_ai.input.messages": asked}
    else:
        assert found == {"gen_ai.input.messages": [{"role": "system", "parts": said}, *asked]}
