"""A part that asks for nothing is not rendered again and again, and is the same text that rendering gives."""

import pytest

from llmctx.prompt.template import Template
from tests.unit.makers import template, template_of


def rendered(used: Template, part: int) -> str:
    return used.parts[part].template.render({}).strip()


def test_the_shipped_system_part_is_fixed_and_says_what_rendering_says() -> None:
    used = template()
    assert used.parts[0].fixed == rendered(used, 0)
    assert used.parts[1].fixed is None


@pytest.mark.parametrize(
    "text", ["  plain  \n\n", "{# a comment #}\nafter it", "{% raw %}{{ symbol }}{% endraw %}", "", "a\n\n\n  b"]
)
def test_text_alone_is_fixed(text: str) -> None:
    used = template_of(text)
    assert used.parts[1].fixed == rendered(used, 1)


@pytest.mark.parametrize(
    "text",
    [
        "{{ symbol }}",
        "{% if clock %}x{% endif %}",
        "{% set x = 1 %}",
        "{{ 1 }}",
        "{% for s in sections %}x{% endfor %}",
        "ü",
    ],
)
def test_whatever_asks_or_is_not_ascii_is_rendered(text: str) -> None:
    assert template_of(text).parts[1].fixed is None
