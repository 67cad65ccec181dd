import pytest

from llmctx.assets import asset
from llmctx.prompt.template import load_template, versions_of
from llmctx.replay.fitness import fitness
from llmctx.schema.keys import BY_SECTION
from tests.unit.makers import template_of
from tests.unit.replay.cases import case

ENTRIES = [case(0), case(1, price="151"), case(2, side="short", stop="160", target="145")]


def test_the_versions_of_a_folder_are_in_order() -> None:
    assert versions_of(asset("prompts")) == [
        "perp/v1", "position/v1", "position/v2", "position/v3", "position/v4", "small/v1",
    ]  # fmt: skip


@pytest.mark.parametrize(("version", "cached"), [(1, False), (2, True)])
def test_only_the_second_version_has_a_cacheable_prefix(version: int, *, cached: bool) -> None:
    found = fitness(load_template(asset("prompts"), f"position/v{version}"), ENTRIES)
    assert (found.fit, found.rendered, found.fixed_tokens >= 1024, found.cached > 0.5) == (True, 3, cached, cached)


def test_the_second_version_explains_every_section() -> None:
    system = load_template(asset("prompts"), "position/v2").parts[0].fixed
    assert system is not None
    explained = system.partition("## What each section says")[2].partition("# How to decide")[0]
    assert not [name for name in BY_SECTION if name.removesuffix("s") not in explained]


def test_a_template_that_does_not_render_is_reported_with_the_record() -> None:
    found = fitness(template_of("{{ symbol }} {{ field('position.nothing') }} {{ mood }}"), ENTRIES)
    assert (found.fit, found.failed, found.unknown) == (False, 3, ("mood",))
    assert "record 0: probe/v1, user part" in found.failures[0]


def test_one_record_has_no_shared_prefix() -> None:
    assert fitness(template_of("{{ symbol }}"), ENTRIES[:1]).fixed == 0


def test_the_shared_prefix_ends_at_the_first_difference() -> None:
    found = fitness(template_of("Price {{ field('price.price.last') }} now."), ENTRIES[:2])
    assert found.fixed == len("system:\nYou decide.\nuser:\nPrice 15")
    assert found.as_dict()["tokens"] == found.characters // 4
