import json
from typing import Any

import pytest

from llmctx import canonical
from llmctx.decision.decision import OUTPUT
from llmctx.llm.mode import Mode
from llmctx.llm.profile import ProfileSettings, profile_of
from llmctx.llm.request import RequestPlan, plan_request
from llmctx.prompt.form import add_form
from llmctx.prompt.render import Prompt, render
from tests.unit.makers import market, package_of, prompt_of, template_of

URL = "http://llm.test/v1/"
EVERYTHING = "{temperature: 0.7, top_p: 0.9, seed: 7, max_tokens: 50, reasoning_effort: low}"


def plan_for(prompt: Prompt, model: str = "m", **settings: Any) -> RequestPlan:
    profile = profile_of(URL, model, ProfileSettings(**settings))
    return plan_request(URL, model, profile, prompt.parameters, OUTPUT)


def body_for(prompt: Prompt, model: str = "m", **settings: Any) -> dict[str, Any]:
    plan = plan_for(prompt, model, **settings)
    document: dict[str, Any] = json.loads(plan.body(plan.messages(prompt)))
    return document


def prompt_with(text: str = "Decide.", parameters: str = "{}") -> Prompt:
    return render(template_of(text, parameters=parameters), package_of(market()))


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("parameters", ["{}", EVERYTHING])
@pytest.mark.parametrize("text", ["Decide.", 'Say "été", 万 and \\ at {{ field("price.price.last") }}.\n\tNow.'])
def test_what_is_kept_of_the_messages_is_what_is_sent(mode: Mode, parameters: str, text: str) -> None:
    prompt = prompt_with(text, parameters)
    plan = plan_for(prompt, mode=mode)
    messages = plan.messages(prompt)
    body = json.loads(plan.body(messages))
    assert messages == canonical.dumps(body["messages"])
    assert messages == add_form(prompt, plan.asked.form).evidence
    assert body["model"] == "m"


@pytest.mark.parametrize("mode", list(Mode))
def test_in_every_mode_the_messages_say_json_behind_the_same_beginning(mode: Mode) -> None:
    system, user = body_for(prompt_of(), mode=mode)["messages"]
    assert "JSON" in system["content"]
    assert system["content"].startswith(prompt_of().messages[0].content)
    assert user == prompt_of().messages[1]._asdict()


@pytest.mark.parametrize("mode", [Mode.JSON_OBJECT, Mode.TOOL, Mode.PROMPTED])
def test_without_a_schema_the_messages_show_every_field_and_an_example(mode: Mode) -> None:
    system = body_for(prompt_of(), mode=mode)["messages"][0]["content"]
    assert all(f'- "{name}": ' in system for name in OUTPUT.bounded["properties"])
    assert '"action": "hold"' in system


def test_each_mode_asks_in_its_own_way() -> None:
    asked = {mode: body_for(prompt_with(), mode=mode) for mode in Mode}
    assert asked[Mode.SCHEMA]["response_format"]["json_schema"] == {
        "name": "decision", "strict": True, "schema": OUTPUT.schema,
    }  # fmt: skip
    assert asked[Mode.SCHEMA_BOUNDED]["response_format"]["json_schema"]["schema"] == OUTPUT.bounded
    assert asked[Mode.JSON_OBJECT]["response_format"] == {"type": "json_object"}
    assert asked[Mode.TOOL]["tools"][0]["function"]["parameters"] == OUTPUT.schema
    assert asked[Mode.TOOL]["tool_choice"] == "required"
    assert asked[Mode.PROMPTED].keys() == {"model", "messages"}


def test_the_schemas_properties_are_sent_in_their_own_order() -> None:
    schema = body_for(prompt_with())["response_format"]["json_schema"]["schema"]
    assert list(schema["properties"]) == list(OUTPUT.schema["properties"])


def test_parameters_are_dropped_renamed_and_replaced() -> None:
    prompt = prompt_with(parameters=EVERYTHING)
    settings: dict[str, Any] = {
        "drop": ("temperature",), "rename": {"max_tokens": "max_completion_tokens"}, "reasoning_tokens": 1000,
        "body": {"seed": 9, "chat_template_kwargs": {"enable_thinking": False}},
    }  # fmt: skip
    body = body_for(prompt, **settings)
    expected = {
        "top_p": 0.9, "max_completion_tokens": 1050, "reasoning_effort": "low", "seed": 9,
        "chat_template_kwargs": {"enable_thinking": False},
    }  # fmt: skip
    assert {name: value for name, value in body.items() if name not in ("model", "messages", "response_format")} == (
        expected
    )
    kept = plan_for(prompt, **settings).kept
    recorded = {"top_p": "0.9", "chat_template_kwargs": '{"enable_thinking":false}'}
    assert kept["parameters"] == expected | recorded
    assert kept["profile"] == "compatible+settings"


@pytest.mark.parametrize(
    ("tokens", "mode", "sent"), [(50, "schema_bounded", 2048), (4000, "schema_bounded", 4000), (50, "tool", 50)]
)
def test_where_a_grammar_holds_the_bounds_the_limit_has_room_for_an_answer_at_all_of_them(
    tokens: int, mode: str, sent: int
) -> None:
    prompt = prompt_with(parameters=f"{{max_completion_tokens: {tokens}}}")
    assert body_for(prompt, mode=mode)["max_completion_tokens"] == sent


def test_the_request_that_is_kept_has_a_canonical_form_and_no_value_of_a_header() -> None:
    kept = plan_for(prompt_of(), headers={"api-version": "2026-01", "x-secret": "hush"}).kept
    assert b"hush" not in canonical.dumps(kept)
    assert kept["headers"] == ["api-version", "x-secret"]


def test_the_blob_that_a_request_names_holds_the_form_as_sent() -> None:
    plan = plan_for(prompt_of(), mode=Mode.TOOL)
    assert canonical.sha256(plan.blob) == plan.kept["schema_sha256"]
    blob = canonical.loads(plan.blob)
    assert json.loads(plan.messages(prompt_of()))[0]["content"].endswith(blob["form"])
    assert blob["name"] == "decision"
