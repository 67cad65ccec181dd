"""How paths are written in a prompt: as before in the first templates, so that they can be cited in new ones."""

from decimal import Decimal
from typing import Any

import pytest

from llmctx.context.package import Package
from llmctx.decision.grounding import ground
from llmctx.prompt.render import render
from llmctx.prompt.template import Template
from tests.unit.makers import NOW, decision, market, package_of, template_of


def shown(body: str, paths: str, package: Package) -> list[str]:
    """The lines of the user part of a template with this body."""
    (source,) = template_of(body).sources.values()
    source = source.replace("output: decision", f"output: decision\npaths: {paths}")
    return render(Template("probe/v1", {"probe/v1.md.j2": source}), package).messages[1].content.split("\n")


@pytest.mark.parametrize(
    ("paths", "line"),
    [
        ("dotted", "- market.sector_performance.Real Estate?: 1.5 [%]"),
        ("quoted", '- market.sector_performance["Real Estate;"]: 1.5 [%]'),
    ],
)
def test_a_template_says_how_paths_are_written(paths: str, line: str) -> None:
    body = "{{ sections | map(attribute='text') | join('\n') }} {{ field('market.sector_performance.Real Estate;') }}"
    assert line in shown(body, paths, package_of(market() | {"market": with_sector("Real Estate;")}))


@pytest.mark.parametrize(
    ("name", "segment"), [("行业", '["行业"]'), ("a\u202eb", '["a\\u202eb"]'), ("行\u200b", '["\\u884c\\u200b"]')]
)
def test_a_quoted_path_hides_nothing_and_can_be_cited_as_it_is_shown(name: str, segment: str) -> None:
    package = package_of(market() | {"market": with_sector(name)})
    path = f"market.sector_performance{segment}"
    assert f"- {path}: 1.5 [%]" in shown("{{ sections | map(attribute='text') | join('\n') }}", "quoted", package)
    assert ground(package, decision(reasoning=f"It rose 1.5% [{path}].")).cited == 1


def with_sector(name: str) -> dict[str, Any]:
    breadth = {"advancing": 1, "declining": 0, "unchanged": 0}
    sectors = {name: Decimal("1.5")}
    return {
        "sector_performance": sectors,
        "market_breadth": breadth,
        "vix": None,
        "market_regime": None,
        "timestamp": NOW,
    }
