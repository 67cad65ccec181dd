"""Settings: where the API key goes and what is never shown; what the environment may set."""

import re
from decimal import Decimal
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from llmctx.cli.look.schema import Described, described
from llmctx.cli.shared.secrets import secrets_of
from llmctx.errors import LlmctxError
from llmctx.llm.endpoint_settings import LLMSettings
from llmctx.ops.alerts.alert_settings import AlertSettings
from llmctx.settings import Settings, all_variables, load_settings
from llmctx.visible import hide
from tests.conftest import ROOT


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


def test_budget_and_trigger_are_set_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {
        "DAILY_BUDGET__CALLS": "5", "DAILY_BUDGET__PER_SYMBOL__COST": "0.5", "TRIGGER__MOVE_PCT": "0.3",
        "TRIGGER__CHANGED": "true",
    }  # fmt: skip
    for name, value in given.items():
        monkeypatch.setenv(f"LLMCTX_{name}", value)
    settings = load_settings()
    budget, trigger = settings.daily_budget, settings.trigger
    assert budget is not None
    assert trigger is not None
    assert (budget.calls, budget.tokens, budget.per_symbol.cost) == (5, None, Decimal("0.5"))
    assert (trigger.move_pct, trigger.changed, trigger.new_signal) == (Decimal("0.3"), True, False)


def test_a_trigger_without_any_reason_is_refused_with_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMCTX_TRIGGER__NEW_SIGNAL", "false")
    with pytest.raises(LlmctxError, match=r"trigger is malformed: .*no reason for a call is set"):
        load_settings()


@pytest.mark.parametrize(("table", "name"), [("budget", "budget"), ("daily_budget", "daily_budget.per_model")])
def test_a_setting_that_there_is_not_is_named(
    table: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "llmctx.toml").write_text(f"[{table}]\nper_model = 1\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LlmctxError, match=rf"There is no setting {name}\."):
        load_settings()


# several endpoints

TWO = (
    {"name": "one", "base_url": "http://u:base-secret@one.test/v1", "model": "m", "key_env": "ONE_KEY"},
    {"name": "two", "model": "n", "api_key": "two-secret"},
)


@pytest.mark.parametrize(
    ("llm", "said"),
    [
        ({"endpoints": TWO, "model": "m"}, "model belongs into each of the endpoints"),
        ({"endpoints": [TWO[0], TWO[0]]}, "two of the endpoints have one name"),
        ({"endpoints": [{"name": "one"}]}, "Field required"),
        ({"endpoints": [{"name": "a b", "model": "m"}]}, "should match pattern"),
        ({"hedge_percentile": 95}, "hedge_percentile needs endpoints"),
        ({"endpoints": TWO, "hedge_percentile": 100}, "less than 100"),
        ({"api_key": "k", "key_env": "K"}, "give either api_key or key_env"),
    ],
)
def test_endpoints_that_contradict_are_refused(llm: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        LLMSettings.model_validate(llm)


def test_each_of_several_endpoints_has_its_own_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONE_KEY", "one-secret")
    several = Settings(llm=LLMSettings.model_validate({"endpoints": TWO, "timeout_s": 9})).each_endpoint
    assert {name: each.api_key for name, each in several.items()} == {"one": "one-secret", "two": "two-secret"}
    assert {each.llm.timeout_s for each in several.values()} == {9}


def test_a_variable_that_should_hold_the_key_and_is_not_set_is_named() -> None:
    settings = Settings(llm=LLMSettings(key_env="NO_SUCH_KEY"))
    with pytest.raises(LlmctxError, match="NO_SUCH_KEY, which holds an endpoint's API key, is not set"):
        _ = settings.api_key


def test_a_key_in_the_place_of_its_variable_is_not_shown() -> None:
    settings = Settings(llm=LLMSettings(key_env="sk-hunterTwo"))
    with pytest.raises(LlmctxError, match=r"The variable of llm\.key_env, which holds") as raised:
        _ = settings.api_key
    assert "hunterTwo" not in str(raised.value)


def test_alerts_know_the_secrets_of_every_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONE_KEY", "one-secret")
    secrets = secrets_of(Settings(llm=LLMSettings.model_validate({"endpoints": TWO})))
    assert {"one-secret", "two-secret", "base-secret"} <= set(secrets)
    assert "secret" not in repr(Settings(llm=LLMSettings.model_validate({"endpoints": TWO})))


def test_secrets_are_known_wherever_settings_and_environment_hold_one(monkeypatch: pytest.MonkeyPatch) -> None:
    places = {
        "LLMCTX_REDIS_URL": "redis://:{}@h/0", "LLMCTX_ARCHIVE": "s3://u:{}@bucket/x", "LLMCTX_LLM__API_KEY": "{}",
        "LLMCTX_LLM__BASE_URL": "http://u:{}@h/v1", "LLMCTX_OTEL__ENDPOINT": "http://h:4318/{}/v1/traces",
        "OTEL_EXPORTER_OTLP_HEADERS": "a=1,authorization={}", "LLMCTX_ALERTS__WEBHOOK": "http://h/{}",
        "LLMCTX_ALERTS__TOKEN": "{}", "AWS_SECRET_ACCESS_KEY": "{}", "AWS_SESSION_TOKEN": "{}",
    }  # fmt: skip
    for number, (name, form) in enumerate(places.items()):
        monkeypatch.setenv(name, form.format(f"secret-{number}"))
    known = secrets_of(load_settings())
    said = " ".join(form.format(f"secret-{number}") for number, form in enumerate(places.values()))
    assert [number for number in range(len(places)) if f"secret-{number}" in hide(said, known)] == []


def test_a_webhook_has_one_way_to_authenticate() -> None:
    with pytest.raises(ValidationError, match="either a token, or a user and password"):
        AlertSettings(webhook=SecretStr("http://u:p@h/x"), token=SecretStr("t"))


@pytest.fixture(scope="module")
def listed() -> dict[str, Described]:
    """Every setting by its variable."""
    return {each.variable: each for each in described()}


def test_every_setting_is_described(listed: dict[str, Described]) -> None:
    assert [variable for variable, each in listed.items() if not each.says.endswith(".")] == []


def test_a_table_that_stands_twice_is_described_once(listed: dict[str, Described]) -> None:
    assert "LLMCTX_MANDATE__ADDS_PER_DAY" in listed
    assert "LLMCTX_MANDATE__SHORTS__ADDS_PER_DAY" not in listed
    assert "LLMCTX_MANDATE__..." in listed["LLMCTX_MANDATE__SHORTS__..."].says


def test_the_default_of_a_limit_is_the_one_that_holds(listed: dict[str, Described]) -> None:
    assert listed["LLMCTX_MANDATE__ADDS_PER_DAY"].default == str(load_settings().mandate.account.adds_per_day)


def test_every_setting_that_the_readme_names_exists() -> None:
    names = set(re.findall(r"LLMCTX_[A-Z_]*[A-Z]", (ROOT / "README.md").read_text("utf-8")))
    assert names
    assert {name for name in names if not any(each.name.startswith(name) for each in all_variables())} == set()
