"""Secrets of the settings: where the API key goes, and what is never shown."""

import pytest
from pydantic import SecretStr, ValidationError

from llmctx.llm.endpoint_settings import LLMSettings
from llmctx.settings import Settings


def of(base_url: str | None, api_key: str | None = None) -> Settings:
    """Settings with this endpoint and key."""
    return Settings(llm=LLMSettings(base_url=base_url, api_key=None if api_key is None else SecretStr(api_key)))


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-openai")


@pytest.mark.parametrize(
    "base_url", [None, "https://api.openai.com/v1", "https://api.openai.com:443/v1", "https://API.OpenAI.com/v1/"]
)
def test_the_default_endpoint_gets_the_openai_key(base_url: str | None) -> None:
    assert of(base_url).api_key == "sk-openai"
    assert not of(base_url).withholds_key


@pytest.mark.parametrize(
    "base_url",
    [
        "http://127.0.0.1:8700/v1",
        "https://openrouter.ai/api/v1",
        "http://api.openai.com/v1",
        "https://api.openai.com:8443/v1",
        "https://api.openai.com.example.test/v1",
        "https://api.openai.com@example.test/v1",
        "https://example.test/api.openai.com",
        "https://[",
        "nonsense",
    ],
)
def test_no_other_endpoint_gets_the_openai_key(base_url: str) -> None:
    assert of(base_url).api_key is None
    assert of(base_url).withholds_key


def test_a_key_that_is_named_for_the_endpoint_is_sent_to_it() -> None:
    assert of("https://openrouter.ai/api/v1", "sk-other").api_key == "sk-other"
    assert not of("https://openrouter.ai/api/v1", "sk-other").withholds_key


def test_no_secret_is_shown_with_the_settings() -> None:
    settings = of("https://user:base-secret@h.test/v1", "key-secret").model_copy(
        update={"redis_url": "redis://:redis-secret@h.test/0"}
    )
    assert "secret" not in f"{settings!r} {settings} {settings.llm!r}"


@pytest.mark.parametrize("size", [1023, 16 * 1024 * 1024 + 1])
def test_the_limit_of_a_response_body_has_limits(size: int) -> None:
    with pytest.raises(ValidationError, match="max_body_bytes"):
        LLMSettings(max_body_bytes=size)
