import pytest

from llmctx import canonical
from llmctx.prompt.form import add_form, remove_form
from llmctx.prompt.render import Prompt, render
from tests.unit.makers import market, package_of, prompt_of, template_of

FORM = 'Answer with "one" JSON object.\n\n- ä: \\ 万'


@pytest.mark.parametrize(
    "prompt", [prompt_of(), render(template_of('Say "x" at {{ symbol }}é.'), package_of(market()))]
)
def test_a_form_stands_behind_the_system_text_and_can_be_taken_away_again(prompt: Prompt) -> None:
    longer = add_form(prompt, FORM)
    assert longer.messages[0].content == f"{prompt.messages[0].content}\n\n{FORM}"
    assert longer.messages[1:] == prompt.messages[1:]
    assert longer.evidence == canonical.dumps([message._asdict() for message in longer.messages])
    assert remove_form(longer, FORM) == prompt


def test_no_form_changes_nothing() -> None:
    assert add_form(prompt_of(), "") == prompt_of()
    assert remove_form(prompt_of(), "") == prompt_of()
    assert remove_form(prompt_of(), "Never added.") == prompt_of()
