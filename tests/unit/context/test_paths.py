from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmctx.context import paths
from llmctx.context.facts import facts_of
from tests.unit.context.scene import TEXTS, section_of

NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("technology", "market.technology"),
        ("rsi_14", "market.rsi_14"),
        ("7d", "market.7d"),
        ("Real Estate", 'market["Real Estate"]'),
        ("a.b", 'market["a.b"]'),
        ("", 'market[""]'),
        ('a"b\\', 'market["a\\"b\\\\"]'),
        ("行业", 'market["行业"]'),
        ("a\u202eb\n", 'market["a\\u202eb\\n"]'),
    ],
)
def test_a_segment_with_other_characters_is_quoted(name: str, path: str) -> None:
    assert paths.child("market", name) == path


@given(st.lists(NAMES | st.integers(0, 999_999), max_size=4))
def test_what_is_written_is_read_again(names: list[str | int]) -> None:
    path = "market"
    for name in names:
        path = f"{path}[{name}]" if isinstance(name, int) else paths.child(path, name)
    assert paths.read(f"{path} ", 0, len(path) + 1) == (path, len(path))


@pytest.mark.parametrize(
    ("written", "path"), [("market['Real Estate']", 'market["Real Estate"]'), ('market["energy"]', "market.energy")]
)
def test_another_spelling_is_the_same_path(written: str, path: str) -> None:
    assert paths.read(written, 0, len(written)) == (path, len(written))


def test_the_first_templates_show_a_dot_before_every_plain_name() -> None:
    assert paths.dotted('market["my-field"].x["a.b"][0]["Real Estate"]') == 'market.my-field.x["a.b"][0]["Real Estate"]'


def test_facts_are_named_so() -> None:
    raw = TEXTS["market"].replace('"sector_performance": {', '"sector_performance": {"Real Estate": 1.5, ')
    assert 'market.sector_performance["Real Estate"]' in {fact.path for fact in facts_of(section_of("market", raw))}
    assert paths.root("signals.my-type") == 'signals["my-type"]'
    assert Decimal("1.5") in [fact.value for fact in facts_of(section_of("market", raw))]
