"""A leveraged position: its optional fields are shown with units, judged, cited and guarded."""

from decimal import Decimal
from typing import Any

import pytest

from llmctx.assets import asset
from llmctx.context.marks import Marks
from llmctx.context.package import Package, build_package
from llmctx.decision.grounding import ground
from llmctx.decision.guards import guard
from llmctx.decision.mandate.mandate import Mandate
from llmctx.decision.verdict import GuardPolicy
from llmctx.prompt.render import render
from llmctx.prompt.template import load_template
from tests.unit.makers import decision, market, package_of, snapshot_of

LEVERAGED: dict[str, Any] = {
    "leverage": 10, "margin": 150, "liquidation_price": Decimal("135.68"), "mark_price": Decimal("152.4"),
    "funding_rate": Decimal("0.0001"), "unrealized_pnl": 25, "unrealized_pnl_pct": Decimal("16.7"),
    "unrealized_pnl_pct_basis": "margin",
}  # fmt: skip


def judged(**position: Any) -> Package:
    """A position of 10 at 150, its price 152.5, its stop 145, with these fields."""
    documents = market(price=str(position.pop("price", "152.5")), side=position.pop("side", "long"))
    documents["position"] |= position
    return build_package(snapshot_of(documents).model_copy(update={"marks": Marks()}))


def found(package: Package) -> list[str]:
    return [finding.reason for finding in package.sections["position"].implausible]


def test_each_field_is_shown_with_its_unit_and_none_that_is_absent() -> None:
    shown = render(load_template(asset("prompts"), "position/v4"), judged(**LEVERAGED)).messages[-1].content
    for line in (
        "- position.unrealized_pnl_pct: 16.7 [% of margin]",
        "- position.leverage: 10 [x]",
        "- position.margin: 150 [account currency]",
        "- position.liquidation_price: 135.68 [price]",
        "- position.mark_price: 152.4 [price]",
        "- position.funding_rate: 0.0001 [of notional]",
        '- position.unrealized_pnl_pct_basis: "margin" [text]',
    ):
        assert line in shown.splitlines()
    facts = {fact.path for fact in package_of(market()).facts["position"]}
    assert not facts & {f"position.{name}" for name in LEVERAGED if not name.startswith("unrealized_pnl")}
    assert "position.stop_loss" in facts


@pytest.mark.parametrize(
    ("position", "reasons"),
    [
        (LEVERAGED, []),
        (LEVERAGED | {"leverage": None}, []),  # the margin makes it
        (LEVERAGED | {"unrealized_pnl_pct": Decimal("1.67")}, ["in percent of what was paid (leverage 10), not of the"]),
        (LEVERAGED | {"unrealized_pnl_pct_basis": None}, ["in percent of the margin (leverage 10), not of what was paid"]),
        (LEVERAGED | {"unrealized_pnl_pct": 40}, ["which make 16.67% of the margin"]),
        (LEVERAGED | {"funding_rate": Decimal("0.1")}, ["funding_rate 0.1 is 10.0% of the position's value"]),
        (LEVERAGED | {"mark_price": 15}, ["position.mark_price 15 is far from price.price.last 152.5"]),
    ],
)  # fmt: skip
def test_fields_that_contradict_each_other_are_called_implausible(position: dict[str, Any], reasons: list[str]) -> None:
    said = found(judged(**position))
    assert len(said) == len(reasons)
    assert all(reason in one for reason, one in zip(reasons, said, strict=True))


def test_a_percentage_on_margin_does_not_bear_out_a_move_of_the_price() -> None:
    reasoning = (
        "The gain is 16.7% [position.unrealized_pnl_pct] of the margin. The price rose 16.7% "
        "[price.price.last / position.entry_price - 1]. Funding costs 0.01% [position.funding_rate] and 1 bps "
        "[position.funding_rate]. Liquidation is at 135.68 [position.liquidation_price], "
        "11.0% [1 - position.liquidation_price / price.price.last] away."
    )
    result = ground(judged(**LEVERAGED), decision(reasoning=reasoning))
    assert [(one.text, one.citation) for one in result.miscited] == [
        ("16.7%", "price.price.last / position.entry_price - 1")
    ]


STOP = {"action": "adjust_stops", "stop_loss": Decimal(151)}


@pytest.mark.parametrize(
    ("position", "said", "action", "detail"),
    [
        (LEVERAGED, {"action": "add", "quantity": 1}, "add", None),
        ({"liquidation_price": 146}, {"action": "add", "quantity": 1}, "hold", "4.26% from the liquidation price 146"),
        ({"liquidation_price": 145, "price": "155"}, {"action": "add", "quantity": 1}, "hold", "the stop 145 lies beyond"),
        ({"liquidation_price": 151}, STOP, "hold", "stop_loss 151 lies beyond the liquidation price 151"),
        ({"liquidation_price": 150}, STOP, "adjust_stops", None),
        ({"liquidation_price": 151}, STOP | {"take_profit": 161}, "adjust_stops", "stop_loss 151 lies beyond"),
        ({"liquidation_price": 151}, {"action": "reduce", "quantity": 5}, "reduce", None),
        ({"liquidation_price": 151}, {"action": "exit"}, "exit", None),
    ],
)  # fmt: skip
def test_nothing_is_added_near_the_liquidation_price_and_no_stop_lies_beyond_it(
    position: dict[str, Any], said: dict[str, Any], action: str, detail: str | None
) -> None:
    verdict = guard(judged(**position), decision(**said), GuardPolicy(grounding="off", mandate=Mandate()))
    details = [one.detail for one in verdict.guards if one.name == "liquidation"]
    assert verdict.action == action
    assert detail is None if not details else detail is not None and detail in details[0]
    assert bool(details) == (detail is not None)
