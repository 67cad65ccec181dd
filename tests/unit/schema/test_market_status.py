from itertools import chain
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from llmctx.schema.market_status import SPELLINGS, MarketStatus
from tests.conftest import ROOT

ADAPTER: TypeAdapter[str] = TypeAdapter(MarketStatus)


def test_each_status_is_its_own_spelling() -> None:
    assert [ADAPTER.validate_python(status) for status in SPELLINGS] == list(SPELLINGS)


@pytest.mark.parametrize(
    "word", ["OPEN", " Open ", "REGULAR", "regular-hours", "Regular_Hours", "regular.hours", "24/7"]
)
def test_case_and_separators_make_no_difference(word: str) -> None:
    assert ADAPTER.validate_python(word) == "open"


@pytest.mark.parametrize(
    ("word", "status"),
    [
        *(("PRE", "pre_market"), ("pre-market", "pre_market"), ("POST", "after_hours"), ("After Hours", "after_hours")),
        *(("extended-hours", "extended_hours"), ("POSTPOST", "closed"), ("HALT", "halted"), ("BREAK", "halted")),
    ],
)
def test_the_words_of_common_sources_are_understood(word: str, status: str) -> None:
    assert ADAPTER.validate_python(word) == status


def test_no_spelling_stands_for_two_statuses() -> None:
    words = [word.casefold() for word in chain(SPELLINGS, *SPELLINGS.values())]
    assert len(words) == len(set(words))


@pytest.mark.parametrize("word", ["", "maybe", "opne", "open closed", "開", "0", 1, True, None, ["open"]])
def test_any_other_value_is_refused_by_name(word: Any) -> None:
    with pytest.raises(
        ValidationError, match="is not a known market status; write one of open, pre_market, "
    ) as caught:
        ADAPTER.validate_python(word)
    assert repr(word) in str(caught.value)


def test_a_long_word_is_cut_in_the_message() -> None:
    with pytest.raises(ValidationError) as caught:
        ADAPTER.validate_python("x" * 10_000)
    assert len(caught.value.errors()[0]["msg"]) < 200


def test_every_spelling_stands_in_the_concepts() -> None:
    text = (ROOT / "docs" / "concepts.md").read_text(encoding="utf-8")
    for status, words in SPELLINGS.items():
        assert f"| `{status}` | {', '.join(f'`{word}`' for word in words)} |" in text
