import pytest

from llmctx.errors import EndpointError
from llmctx.llm.address import environment_proxy, resolve


@pytest.mark.parametrize(
    ("base_url", "url"),
    [
        ("http://h.test", "http://h.test/chat/completions"),
        ("http://h.test/", "http://h.test/chat/completions"),
        ("http://h.test/v1", "http://h.test/v1/chat/completions"),
        ("http://h.test/v1/", "http://h.test/v1/chat/completions"),
        ("https://h.test:8443/a/b%20c/v1", "https://h.test:8443/a/b%20c/v1/chat/completions"),
        ("https://h.test/v1?api-version=2&x=a%2Fb", "https://h.test/v1/chat/completions?api-version=2&x=a%2Fb"),
        ("http://h.test/v1#part", "http://h.test/v1/chat/completions"),
        ("http://user:p%40ss@h.test/v1", "http://h.test/v1/chat/completions"),
        ("http://[::1]:8000/v1", "http://[::1]:8000/v1/chat/completions"),
        ("http://bücher.test/v1", "http://xn--bcher-kva.test/v1/chat/completions"),
    ],
)
def test_completions_are_posted_below_the_base_url(base_url: str, url: str) -> None:
    assert resolve(base_url, "key").url == url


def test_without_a_base_url_the_sdk_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve(None, "key").url == "https://api.openai.com/v1/chat/completions"
    monkeypatch.setenv("OPENAI_BASE_URL", "http://gateway.test/v1")
    assert resolve(None, "key").url == "http://gateway.test/v1/chat/completions"


def test_custom_headers_are_the_sdks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Team: desk\nuser-agent: mine")
    headers = resolve("http://h.test", "key").headers
    assert (headers["x-team"], headers["user-agent"]) == ("desk", "mine")


@pytest.mark.parametrize(
    ("base_url", "told"),
    [
        (None, True),
        ("https://api.openai.com/v1", True),
        ("https://API.OPENAI.com:443/v1", True),
        ("http://api.openai.com/v1", False),
        ("https://api.openai.com:8443/v1", False),
        ("https://api.openai.com.example.test/v1", False),
        ("https://api.openai.com@example.test/v1", False),
        ("http://h.test", False),
    ],
)
def test_organization_and_project_are_named_to_openai_alone(
    base_url: str | None, told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_ORG_ID", "org-1")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-1")
    headers = resolve(base_url, "key").headers
    found = (headers.get("openai-organization"), headers.get("openai-project"))
    assert found == (("org-1", "proj-1") if told else (None, None))


def test_the_key_is_a_bearer_token() -> None:
    assert resolve("http://h.test", "sk-1").headers["authorization"] == "Bearer sk-1"


def test_a_user_in_the_url_takes_the_place_of_the_key() -> None:
    address = resolve("http://user:p%40ss@h.test/v1", "sk-1")
    assert address.headers["authorization"] == "Basic dXNlcjpwQHNz"
    assert address.password == "p@ss"


@pytest.mark.parametrize("value", ["a\rb", "a\x7f", "schl\u0085ssel"])
def test_a_header_that_http_cannot_carry_is_an_error_of_the_family(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", f"x-team: {value}")
    with pytest.raises(EndpointError, match="x-team"):
        resolve("http://h.test", "key")


def test_a_base_url_in_the_environment_that_is_malformed_is_an_error_of_the_family(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://user:pass/word@h.test/v1")
    with pytest.raises(EndpointError, match="cannot be used") as caught:
        resolve(None, "key")
    assert "pass" not in str(caught.value)


def test_a_missing_key_is_an_error_of_the_family() -> None:
    with pytest.raises(EndpointError, match="cannot be used"):
        resolve("http://h.test", "")


@pytest.mark.parametrize(
    ("name", "value", "proxy"),
    [
        ("HTTP_PROXY", "proxy.test:3128", "http://proxy.test:3128"),
        ("http_proxy", "http://proxy.test:3128", "http://proxy.test:3128"),
        ("ALL_PROXY", "http://proxy.test:3128", "http://proxy.test:3128"),
        ("HTTPS_PROXY", "http://proxy.test:3128", None),
        ("HTTP_PROXY", "", None),
    ],
)
def test_the_environment_names_a_proxy(
    name: str, value: str, proxy: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    assert environment_proxy("http://llm.test/v1") == proxy
