import json

import pytest

from llmctx.decision.decision import OUTPUT
from llmctx.llm.request import body_of, encode_body
from llmctx.prompt.render import render
from tests.unit.makers import market, package_of, template_of


@pytest.mark.parametrize(
    "parameters",
    ["{}", "{temperature: 0.7, top_p: 0.9, seed: 7, max_tokens: 50, reasoning_effort: low}"],
)
@pytest.mark.parametrize("text", ["Decide.", 'Say "été", 万 and \\ at {{ field("price.price.last") }}.\n\tNow.'])
def test_the_bytes_sent_say_what_the_body_says(parameters: str, text: str) -> None:
    prompt = render(template_of(text, parameters=parameters), package_of(market()))
    encoded = encode_body('a "model"', prompt, OUTPUT)
    assert json.loads(encoded) == body_of('a "model"', prompt, OUTPUT)
    assert prompt.evidence in encoded


def test_the_schemas_properties_are_sent_in_their_own_order() -> None:
    prompt = render(template_of("Decide."), package_of(market()))
    schema = json.loads(encode_body("m", prompt, OUTPUT))["response_format"]["json_schema"]["schema"]
    assert list(schema["properties"]) == list(OUTPUT.schema["properties"])
