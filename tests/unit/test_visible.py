"""Text that is looked at: people have names, and nothing acts on a terminal."""

from collections.abc import Iterator

import pytest

from llmctx.trail.source.filter import Filter
from llmctx.visible import show_names, visible

MEIER, OTHER = (f"person-{digit * 32}" for digit in "ab")


@pytest.fixture(autouse=True)
def known() -> Iterator[None]:
    show_names({MEIER: "R. Meier\x1b[2J"})
    yield
    show_names({})


def test_an_id_with_a_name_is_shown_as_the_name_and_another_as_it_is() -> None:
    assert visible(f"approved by {MEIER}: seen; {OTHER}") == f"approved by R. Meier\\x1b[2J: seen; {OTHER}"
    assert visible(f"{MEIER}0 x{MEIER}") == f"{MEIER}0 x{MEIER}"


def test_records_are_found_by_what_is_shown_of_them() -> None:
    record = {"kind": "approval", "verdict": {"action": "add", "reason": f"approved by {MEIER}: seen"}}
    assert Filter(text="by r. meier").matches(record, None)
    assert not Filter(text="person-").matches(record, None)
