"""The providers' own protocols over real HTTP: what is sent is what their SDKs send, what comes is read to the token."""

import asyncio
import json
import re
import sys
from pathlib import Path
from typing import Any

import boto3
import httpx2
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from redis.asyncio import Redis

from llmctx.decision.decision import OUTPUT
from llmctx.decision.parse import judge
from llmctx.errors import EndpointError
from llmctx.llm.client import EndpointClient
from llmctx.llm.completion import Completion, Outcome
from llmctx.llm.native.address import resolve_for
from llmctx.llm.native.api import Api
from llmctx.llm.profile import ProfileSettings
from tests.integration.conftest import hold
from tests.integration.program import Program
from tests.llm.native.providers import PROVIDERS, Provider, converse, responses
from tests.llm.native.providers import anthropic as message
from tests.unit.llm.calls import PROMPT
from tests.unit.llm.wire import Answer, Request, Wire, response

KEY = "sk-secret"
AWS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "aws-secret", "AWS_DEFAULT_REGION": "eu-central-1"}
each = pytest.mark.parametrize("name", PROVIDERS)


def served(document: dict[str, Any], status: str = "200 OK", **headers: str) -> Answer:
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return Answer(response(json.dumps(document).encode(), status, "content-type: application/json", *lines))


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in AWS.items():
        monkeypatch.setenv(name, value)


async def ask(wire: Wire, provider: Provider, *, key: str = KEY, timeout_s: float = 20, **profile: Any) -> Completion:
    base_url = wire.base_url if provider.profile == "openai-responses" else wire.base_url.removesuffix("/v1")
    settings = ProfileSettings(name=provider.profile, **profile)
    client = EndpointClient(base_url, key, provider.model, profile=settings, timeout_s=timeout_s, max_attempts=2)
    try:
        return await client.complete(PROMPT, OUTPUT)
    finally:
        await client.aclose()


@each
async def test_an_answer_is_a_decision_with_every_token_counted(name: str) -> None:
    provider = PROVIDERS[name]
    async with Wire(served(provider.play(), **{provider.request_id: "req-1"})) as wire:
        completion = await ask(wire, provider)
    decision, why = judge(completion)
    assert decision is not None, why
    assert completion.usage == provider.usage
    assert (completion.answer_from, completion.request_id) == (provider.steps, "req-1")
    assert completion.body == json.dumps(provider.play()).encode()
    assert wire.requests[0].line == f"POST {provider.path} HTTP/1.1"
    assert completion.request["profile"].startswith(provider.profile)
    assert completion.request["api"] == name


async def sdk_request(name: str, wire: Wire, body: dict[str, Any]) -> None:
    """Send the same request by the provider's own SDK, which also reads the response."""
    if name == "anthropic":
        import anthropic  # noqa: PLC0415  slow to import, and every worker imports every module of tests

        async with anthropic.AsyncAnthropic(api_key=KEY, base_url=f"http://127.0.0.1:{wire.port}") as client:
            await client.messages.create(**body)
    elif name == "responses":
        import openai  # noqa: PLC0415  the same

        async with openai.AsyncOpenAI(api_key=KEY, base_url=wire.base_url, http_client=httpx2.AsyncClient()) as sdk:
            await sdk.responses.create(**body)
    else:
        config = Config(retries={"total_max_attempts": 1})
        runtime = boto3.client("bedrock-runtime", endpoint_url=f"http://127.0.0.1:{wire.port}", config=config)
        await asyncio.to_thread(runtime.converse, modelId=PROVIDERS[name].model, **body)
        runtime.close()


@each
@pytest.mark.parametrize("mode", ["schema", "schema_bounded", "tool", "json_object", "prompted"])
async def test_what_is_sent_is_what_the_providers_sdk_sends(name: str, mode: str) -> None:
    provider = PROVIDERS[name]
    async with Wire(served(provider.play())) as wire:
        await ask(wire, provider, key="none" if name == "bedrock" else KEY, mode=mode)
        body = json.loads(wire.requests[0].body)
        await sdk_request(name, wire, body)
    ours, theirs = wire.requests
    assert (ours.line, json.loads(ours.body)) == (theirs.line, json.loads(theirs.body))
    for header in ("anthropic-version", "content-type"):
        assert ours.headers.get(header) == theirs.headers.get(header)
    if name == "responses":
        assert ours.headers["authorization"] == theirs.headers["authorization"]


async def test_the_system_message_is_marked_for_anthropics_cache_and_nothing_else_is() -> None:
    async with Wire(served(message())) as wire:
        completion = await ask(wire, PROVIDERS["anthropic"])
    sent, kept = json.loads(wire.requests[0].body), json.loads(completion.messages or b"")
    text = {"type": "text", "text": kept[0]["content"], "cache_control": {"type": "ephemeral"}}
    assert (sent["system"], sent["messages"]) == ([text], kept[1:])
    assert sent["tool_choice"] == {"type": "tool", "name": "decision"}
    assert wire.requests[0].headers["x-api-key"] == KEY


@pytest.mark.parametrize(("model", "points"), [("anthropic.claude-x", 1), ("amazon.nova-pro", 1), ("meta.llama4", 0)])
async def test_a_cache_point_is_sent_to_the_models_on_bedrock_that_take_one(model: str, points: int) -> None:
    async with Wire(served(converse())) as wire:
        await ask(wire, PROVIDERS["bedrock"]._replace(model=model))
    system = json.loads(wire.requests[0].body)["system"]
    assert sum("cachePoint" in block for block in system) == points


async def test_a_request_to_bedrock_is_signed_as_botocore_signs_it() -> None:
    async with Wire(served(converse())) as wire:
        await ask(wire, PROVIDERS["bedrock"], key="none")
    (sent,) = wire.requests
    scope = "/eu-central-1/bedrock/aws4_request"
    assert f"Credential=AKIDEXAMPLE/{sent.headers['x-amz-date'][:8]}{scope}" in sent.headers["authorization"]
    assert sent.headers["authorization"].endswith(f"Signature={signature(sent, wire.port)}")


def signature(sent: Request, port: int) -> str:
    """The signature that Amazon would expect for a request as it arrived."""
    _, path, _ = sent.line.split()
    names = sent.headers["authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")
    headers = {name: sent.headers[name] for name in names}
    request = AWSRequest("POST", f"http://127.0.0.1:{port}{path}", data=sent.body, headers=headers)
    request.context["timestamp"] = sent.headers["x-amz-date"]
    secret = Credentials(AWS["AWS_ACCESS_KEY_ID"], AWS["AWS_SECRET_ACCESS_KEY"])
    signer = SigV4Auth(secret, "bedrock", AWS["AWS_DEFAULT_REGION"])
    expected: str = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
    return expected


async def test_a_bedrock_api_key_goes_out_as_a_bearer_token() -> None:
    async with Wire(served(converse())) as wire:
        await ask(wire, PROVIDERS["bedrock"])
    assert wire.requests[0].headers["authorization"] == f"Bearer {KEY}"


async def test_no_token_of_the_environment_goes_to_another_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "token-of-another-host")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "key-of-another-host")
    async with Wire(served(message())) as wire:
        await ask(wire, PROVIDERS["anthropic"], key="none")
    assert not {"authorization", "x-api-key"} & wire.requests[0].headers.keys()


@pytest.mark.parametrize(
    ("name", "base_url", "said"),
    [
        ("anthropic-messages", None, "The endpoint has no base URL"),
        ("bedrock", "http://user:pass-word@h.test", "a user, a password or a query"),
        ("anthropic-messages", "http://h.test?key=pass-word", "a user, a password or a query"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused(name: str, base_url: str | None, said: str) -> None:
    with pytest.raises(EndpointError, match=said) as caught:
        EndpointClient(base_url, KEY, "m", profile=name)
    assert "pass-word" not in str(caught.value)


@pytest.mark.parametrize(("name", "sdk"), [("anthropic-messages", "anthropic"), ("bedrock", "boto3")])
def test_an_extra_that_is_missing_is_named(name: str, sdk: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, sdk, None)
    with pytest.raises(EndpointError, match=re.escape(f"pip install 'llmctx[{name.partition('-')[0]}]'")):
        EndpointClient("http://h.test", "none", "m", profile=name)


def test_bedrock_without_credentials_says_what_to_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for variable in AWS:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(EndpointError, match="boto3 finds no credentials"):
        EndpointClient("https://bedrock-runtime.eu-central-1.amazonaws.com", "none", "m")
    with pytest.raises(EndpointError, match="Set AWS_REGION"):
        EndpointClient("http://127.0.0.1:1", "none", "m", profile="bedrock")


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"AWS_PROFILE": "desk"}, re.escape("The config profile (desk) could not be found")),
        ({"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE"}, "missing: AWS_SECRET_ACCESS_KEY"),
    ],
)
def test_an_amazon_configuration_that_is_broken_is_named(
    variables: dict[str, str], says: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for variable in AWS:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("HOME", str(tmp_path))
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    with pytest.raises(EndpointError, match=says) as caught:
        EndpointClient("https://bedrock-runtime.eu-central-1.amazonaws.com", "none", "m")
    assert "AWS_SECRET_ACCESS_KEY or AWS_PROFILE" in caught.value.do


@pytest.mark.parametrize(
    ("host", "variables", "region"),
    [
        ("127.0.0.1", {"AWS_REGION": "eu-west-1"}, "eu-west-1"),  # before AWS_DEFAULT_REGION, which the fixture sets
        ("127.0.0.1", {"AWS_PROFILE": "desk"}, "ap-south-1"),
        ("bedrock-runtime-fips.us-west-2.amazonaws.com", {"AWS_REGION": "eu-west-1"}, "us-west-2"),
        ("vpce-0a1-b2.bedrock-runtime.us-east-1.vpce.amazonaws.com", {}, "us-east-1"),
    ],
)
def test_the_region_comes_from_the_host_then_the_environment_then_the_profile(
    host: str, variables: dict[str, str], region: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = tmp_path / "config"
    config.write_text("[profile desk]\nregion = ap-south-1\naws_access_key_id = A\naws_secret_access_key = s\n")
    if "AWS_PROFILE" in variables:
        monkeypatch.delenv("AWS_DEFAULT_REGION")
    for variable, value in (variables | {"AWS_CONFIG_FILE": str(config)}).items():
        monkeypatch.setenv(variable, value)
    sign = resolve_for(Api.BEDROCK, f"https://{host}", "none", "m").sign
    assert sign is not None
    assert f"/{region}/bedrock/aws4_request" in sign(b"{}")["Authorization"]


TEXT = json.dumps({"a": 1})
OUTCOMES: dict[str, tuple[str, dict[str, Any], Outcome]] = {
    "Anthropic: a refusal": ("anthropic", message(text="No.", stop="refusal"), Outcome.REFUSED),
    "Anthropic: cut": ("anthropic", message(text='{"a', stop="max_tokens"), Outcome.TRUNCATED),
    "Anthropic: no text": ("anthropic", message() | {"content": []}, Outcome.UNREADABLE),
    "Anthropic: a text": ("anthropic", message(text=TEXT), Outcome.ANSWERED),
    "Responses: cut": (
        "responses",
        responses(text='{"a', status="incomplete", incomplete_details={"reason": "max_output_tokens"}),
        Outcome.TRUNCATED,
    ),
    "Responses: filtered": (
        "responses",
        responses(text="", status="incomplete", incomplete_details={"reason": "content_filter"}),
        Outcome.FILTERED,
    ),
    "Responses: a refusal": (
        "responses",
        responses(output=[{"type": "message", "content": [{"type": "refusal", "refusal": "No."}]}]),
        Outcome.REFUSED,
    ),
    "Responses: reasoning alone": (
        "responses", responses(output=[{"type": "reasoning", "summary": []}]), Outcome.UNREADABLE
    ),
    "Converse: a guardrail": ("bedrock", converse(text="No.", stop="guardrail_intervened"), Outcome.FILTERED),
    "Converse: cut": ("bedrock", converse(text='{"a', stop="max_tokens"), Outcome.TRUNCATED),
    "Converse: a text": ("bedrock", converse(text=TEXT), Outcome.ANSWERED),
    "Converse: nothing": ("bedrock", converse() | {"output": {"message": None}}, Outcome.UNREADABLE),
}  # fmt: skip


@pytest.mark.parametrize("what", OUTCOMES)
async def test_what_is_no_decision_has_its_outcome(what: str) -> None:
    name, document, outcome = OUTCOMES[what]
    async with Wire(served(document)) as wire:
        assert (await ask(wire, PROVIDERS[name])).outcome is outcome


ERRORS: dict[str, tuple[str, str, dict[str, Any], list[str], str]] = {
    "Anthropic: overloaded": (
        "anthropic", "529 Overloaded",
        {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}, "request_id": "r"},
        ["http 529", "ok"], "",
    ),
    "Anthropic: a wrong key": (
        "anthropic", "401 Unauthorized",
        {"type": "error", "error": {"type": "authentication_error", "message": "invalid x-api-key"}},
        ["http 401"], "invalid x-api-key (authentication_error)",
    ),
    "Responses: failed in a 200": (
        "responses", "200 OK",
        responses(status="failed", output=[], error={"code": "rate_limit_exceeded", "message": "Slow down"}),
        ["http 200 with an error 429", "ok"], "",
    ),
    "Bedrock: throttled": (
        "bedrock", "429 Too Many Requests", {"message": "Too many tokens, please wait"}, ["http 429", "ok"], ""
    ),
    "Bedrock: a bad request": (
        "bedrock", "400 Bad Request", {"message": "The model identifier is invalid."},
        ["http 400"], "The model identifier is invalid.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", ERRORS)
async def test_errors_are_tried_again_or_told(what: str) -> None:
    name, status, document, results, said = ERRORS[what]
    provider = PROVIDERS[name]
    async with Wire(served(document, status, retry_after_ms="1"), served(provider.play())) as wire:
        completion = await ask(wire, provider)
    assert [attempt.result for attempt in completion.attempts] == results
    assert said in (completion.detail or "")
    assert KEY not in (completion.detail or "")


@pytest.mark.more
@each
async def test_a_decision_from_the_command_line_is_recorded_verified_and_replayed(
    name: str, valkey: Redis, valkey_url: str, tmp_path: Path
) -> None:
    provider = PROVIDERS[name]
    await hold(valkey, "AAPL")
    async with Wire(served(provider.play())) as wire:
        root = f"http://127.0.0.1:{wire.port}"
        program = Program(valkey_url, tmp_path)
        program.environment |= AWS | {
            "LLMCTX_LLM__BASE_URL": f"{root}/v1" if name == "responses" else root,
            "LLMCTX_LLM__API_KEY": KEY,
            "LLMCTX_LLM__MODEL": provider.model,
            "LLMCTX_LLM__PROFILE": provider.profile,
        }
        ended = await program("decide", "AAPL", "--json")
        assert ended.code == 0, ended.err
        again = await program("replay", "--mode", "again", "--json")
        assert again.code == 0, again.err
    record = ended.document
    assert (record["kind"], record["request"]["api"]) == ("decision", name)
    assert tuple(record["completion"]["answer_from"]) == provider.steps
    verified, rebuilt = await program("verify", "--strict"), await program("replay")
    assert verified.code == 0, verified.out + verified.err
    assert rebuilt.code == 0, rebuilt.out + rebuilt.err
