import re
from typing import Any

import pytest
from pydantic import ValidationError

from llmctx.errors import EndpointError
from llmctx.llm.mode import Mode
from llmctx.llm.profile import ProfileSettings, is_local, profile_of, table

OPENAI = "https://api.openai.com/v1/"


@pytest.mark.parametrize(
    ("base_url", "model", "name", "mode"),
    [
        (OPENAI, "gpt-4.1", "openai", Mode.SCHEMA),
        (OPENAI, "gpt-5-mini", "openai+openai-reasoning", Mode.SCHEMA),
        (OPENAI, "o3", "openai+openai-reasoning", Mode.SCHEMA),
        ("https://me.openai.azure.com/openai/v1/", "my-deployment", "azure", Mode.SCHEMA),
        ("https://api.anthropic.com/v1/", "claude-sonnet-4-5", "anthropic", Mode.PROMPTED),
        ("https://api.anthropic.com/v1/", "claude-opus-4-7", "anthropic+claude", Mode.PROMPTED),
        ("https://generativelanguage.googleapis.com/v1beta/openai/", "gemini-3-flash", "gemini+reasoning", Mode.SCHEMA),
        ("https://api.deepseek.com/v1/", "deepseek-chat", "deepseek", Mode.JSON_OBJECT),
        ("https://api.mistral.ai/v1/", "mistral-large-latest", "mistral", Mode.SCHEMA),
        ("https://api.x.ai/v1/", "grok-4.3", "xai+reasoning", Mode.SCHEMA),
        ("https://api.groq.com/openai/v1/", "openai/gpt-oss-120b", "groq+reasoning", Mode.SCHEMA),
        ("https://api.groq.com/openai/v1/", "llama-3.3-70b-versatile", "groq-json", Mode.JSON_OBJECT),
        ("https://openrouter.ai/api/v1/", "openai/gpt-5", "openrouter+openai-reasoning", Mode.SCHEMA),
        ("https://openrouter.ai/api/v1/", "anthropic/claude-opus-4.7", "openrouter+claude", Mode.SCHEMA),
        ("http://127.0.0.1:11434/v1/", "llama3.2", "ollama", Mode.SCHEMA_BOUNDED),
        ("http://localhost:1234/v1/", "any", "lmstudio", Mode.SCHEMA_BOUNDED),
        ("http://gpu.lan:8000/v1/", "any", "vllm", Mode.SCHEMA_BOUNDED),
        ("http://10.0.0.7:30000/v1/", "any", "sglang", Mode.SCHEMA_BOUNDED),
        ("http://litellm:4000/", "any", "litellm", Mode.SCHEMA),
        ("http://127.0.0.1:8080/v1/", "any", "llamacpp", Mode.SCHEMA_BOUNDED),
        ("http://127.0.0.1:9999/v1/", "any", "local", Mode.SCHEMA_BOUNDED),
        ("http://127.0.0.1:8700/v1/", "llmctx-standin", "standin", Mode.SCHEMA),
        ("https://llm.example.com:11434/v1/", "any", "compatible", Mode.SCHEMA),
        ("https://api.openai.com.evil.example/v1/", "any", "compatible", Mode.SCHEMA),
    ],
)
def test_an_endpoint_and_a_model_have_a_profile(base_url: str, model: str, name: str, mode: Mode) -> None:
    profile = profile_of(base_url, model)
    assert (profile.name, profile.mode) == (name, mode)


def test_every_row_names_its_source_and_when_it_was_read() -> None:
    for row in (*table().providers, *table().families):
        assert row.source.startswith("https://") or row.source == "docs/models.md", row.name
        assert re.fullmatch(r"20\d\d-\d\d", row.as_of), row.name


def test_names_are_unique_and_none_is_a_mode() -> None:
    names = [row.name for row in (*table().providers, *table().families)]
    assert len(set(names)) == len(names)
    assert not set(names) & set(Mode)


def test_reasoning_models_get_neither_temperature_nor_max_tokens() -> None:
    profile = profile_of(OPENAI, "gpt-5")
    assert {"temperature", "top_p"} <= set(profile.drop)
    assert profile.rename["max_tokens"] == "max_completion_tokens"
    assert profile.reasoning_tokens > 0


def test_the_reasons_name_the_rows_and_the_settings() -> None:
    profile = profile_of(OPENAI, "gpt-5", ProfileSettings(drop=("seed",)))
    assert [reason.partition(":")[0] for reason in profile.reasons] == [
        "endpoint api.openai.com",
        "model gpt-5",
        "setting llm.profile",
    ]


@pytest.mark.parametrize("mode", list(Mode))
def test_a_setting_may_name_a_mode(mode: Mode) -> None:
    assert profile_of(OPENAI, "gpt-4.1", mode.value).mode is mode


@pytest.mark.parametrize("name", [row.name for row in table().providers])
def test_a_setting_may_name_a_provider(name: str) -> None:
    assert profile_of("http://127.0.0.1:9999/v1/", "any", name).name == name


def test_a_setting_that_names_neither_says_what_there_is() -> None:
    with pytest.raises(EndpointError, match="There is no profile 'gtp'") as caught:
        profile_of(OPENAI, "any", "gtp")
    assert "deepseek" in caught.value.do
    assert "json_object" in caught.value.do


def test_settings_hold_over_the_rows() -> None:
    settings = ProfileSettings(
        name="deepseek", mode=Mode.TOOL, keep=("seed",), rename={"seed": "s"}, body={"x": 1}, reasoning_tokens=0
    )
    profile = profile_of(OPENAI, "gpt-5", settings)
    assert profile.mode is Mode.TOOL
    assert profile.drop == ("temperature", "top_p")
    assert (profile.rename["seed"], profile.body, profile.reasoning_tokens) == ("s", {"x": 1}, 0)


@pytest.mark.parametrize("mode", [Mode.JSON_OBJECT, Mode.TOOL, Mode.PROMPTED])
def test_without_a_schema_the_form_is_always_full(mode: Mode) -> None:
    assert profile_of(OPENAI, "any", ProfileSettings(mode=mode, form="brief")).form == "full"


@pytest.mark.parametrize("body", [{"model": "x"}, {"messages": []}, {"stream": True}, {"é": 1}])
def test_the_body_cannot_replace_what_is_recorded_elsewhere(body: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="cannot be set here"):
        ProfileSettings(body=body)


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("localhost", True), ("127.0.0.1", True), ("::1", True), ("192.168.1.4", True), ("gpu.lan", True),
        ("host.docker.internal", True), ("8.8.8.8", False), ("api.example.com", False),
    ],
)  # fmt: skip
def test_local_hosts_are_those_of_ones_own_network(host: str, local: bool) -> None:
    assert is_local(host) is local
