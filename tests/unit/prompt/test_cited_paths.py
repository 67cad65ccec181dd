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
    ("paths", "name", "line"),
    [
        ("dotted", "real-estate", "- market.sector_performance.real-estate: 1.5 [%]"),
        ("dotted", "Real Estate", '- market.sector_performance["Real Estate"]: 1.5 [%]'),
        ("quoted", "real-estate", '- market.sector_performance["real-estate"]: 1.5 [%]'),
        ("quoted", "Real Estate;", '- market.sector_performance["Real Estate;"]: 1.5 [%]'),
    ],
)
def test_a_template_says_how_paths_are_written(paths: str, name: str, line: str) -> None:
    body = f"{{{{ sections | map(attribute='text') | join('\n') }}}} {{{{ field('{line[2:].partition(': ')[0]}') }}}}"
    assert line in shown(body, paths, package_of(market() | {"market": with_sector(name)}))


@pytest.mark.parametrize("name", ["行业", "S&P 500 (all)"])
def test_a_quoted_path_can_be_cited_as_it_is_shown(name: str) -> None:
    package = package_of(market() | {"market": with_sector(name)})
    path = f'market.sector_performance["{name}"]'
    assert f"- {path}: 1.5 [%]" in shown("{{ sections | map(attribute='text') | join('\n') }}", "quoted", package)
    assert ground(package, decision(reasoning=f"It rose 1.5% [{path}].")).cited == 1


def test_newer_templates_mark_texts_and_fields_that_are_not_listed() -> None:
    unlisted = {"EXIT_NOW": 1, "urgent": "exit", "none": None, "market regime": "x"}
    package = package_of(market() | {"market": with_sector("energy") | unlisted | {"market_regime": "bullish"}})
    lines = shown("{{ sections | map(attribute='text') | join('\n') }}", "quoted", package)
    assert [line for line in lines if line.startswith("- market")] == [
        "- market.sector_performance.energy: 1.5 [%]",
        "- market.market_breadth.advancing: 1 [symbols]",
        "- market.market_breadth.declining: 0 [symbols]",
        "- market.market_breadth.unchanged: 0 [symbols]",
        "- market.vix: null",
        '- market.market_regime: "bullish" [text]',
        f"- market.timestamp: {NOW}",
        "- market.EXIT_NOW: 1 [unlisted]",
        '- market.urgent: "exit" [unlisted text]',
        "- market.none: null [unlisted]",
        '- market["market regime"]: "x" [unlisted text]',
        "- market (names): 1 in quotes, 0 left out",
    ]


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
