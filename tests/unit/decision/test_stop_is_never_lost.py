"""Whatever the values are: a stop that a plausible price reached is an exit, one that an implausible price reached is
held as unconfirmed, and neither is ever passed over in silence.
"""

import json
from decimal import Decimal
from typing import Any

from hypothesis import event, given
from hypothesis import strategies as st

from llmctx import canonical, clock
from llmctx.context.marks import Mark, Marks
from llmctx.context.package import Package, build_package
from llmctx.context.price_step import JUMP, PERSONAL
from llmctx.context.snapshot import RawSection, Snapshot
from llmctx.decision.decision import Decision
from llmctx.decision.guards import guard
from llmctx.decision.verdict import GuardPolicy
from tests.unit.makers import NOW_MS, decision, market, snapshot_of

PRICES = st.one_of(
    st.decimals("0.01", "1000", places=2),
    st.sampled_from(["0.0001", "1e-30", "1e30", "5.04", "504", "119.5", "1185"]).map(Decimal),
)
NUMBERS = st.one_of(PRICES, PRICES.map(lambda price: -price), st.just(Decimal(0)))
ODD = st.one_of(
    st.none(), st.booleans(), st.text(max_size=5), NUMBERS, st.sampled_from(["1e999999", "-1e-999999"]).map(Decimal),
    st.lists(st.integers(), max_size=2),
)  # fmt: skip
TIMES = st.one_of(st.integers(0, 3600), st.integers(0, 10**8)).map(lambda seconds: NOW_MS - seconds * 1000)
ANSWERS = st.sampled_from(["none", "hold", "exit", "reduce", "add", "adjust_stops"])


@st.composite
def marks(draw: st.DrawFn, entry_price: Decimal) -> Marks:
    def mark() -> Mark:
        return Mark(
            draw(PRICES), draw(TIMES), clock.to_ms(clock.parse_iso("2025-05-09T09:45:32.000Z")),
            draw(st.sampled_from([entry_price, Decimal(7)])), draw(st.none() | PRICES),
            by=draw(st.sampled_from(["", "Ann"])),
        )  # fmt: skip

    believed = mark() if draw(st.booleans()) else None
    if draw(st.booleans()):
        return Marks(believed, mark(), (draw(st.sampled_from([JUMP, "too_old", *PERSONAL])),))
    return Marks(believed)


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    """Any position with a stop and any price, with odd fields beside them, after any marks."""
    documents = market(side=draw(st.sampled_from(["long", "short"])), market_status=draw(st.text(max_size=6)))
    entry = draw(PRICES)
    documents["position"] |= {
        "entry_price": entry, "current_price": draw(PRICES), "stop_loss": draw(PRICES), "quantity": draw(PRICES),
        "unrealized_pnl": draw(NUMBERS), "unrealized_pnl_pct": draw(NUMBERS), "last_update": clock.iso(draw(TIMES)),
        "leverage": draw(ODD), "multiplier": draw(ODD),
    }  # fmt: skip
    figures = {name: draw(PRICES) for name in ("last", "open", "high", "low")} | {"volume": draw(NUMBERS)}
    documents["price"] = {"price": figures, "timestamp": clock.iso(draw(TIMES))}
    documents["indicators"] = {
        "rsi_14": draw(NUMBERS), "macd": None, "macd_signal": None, "bollinger_upper": draw(NUMBERS),
        "bollinger_lower": draw(NUMBERS), "bollinger_width": draw(NUMBERS), "timestamp": clock.iso(NOW_MS),
    }  # fmt: skip
    snapshot = snapshot_of(market())
    sections = {
        name: RawSection(key, wire(documents[name]) if name in documents else draw(st.none() | st.binary(max_size=9)))
        for name, (key, _, _) in snapshot.sections.items()
    }
    return snapshot.model_copy(update={"sections": sections, "marks": draw(marks(entry))})


def wire(document: dict[str, Any]) -> bytes:
    """The document as JSON with its decimals as they are, however large."""
    numbers: list[str] = []

    def numbered(value: Decimal) -> str:
        numbers.append(str(value))
        return f"#{len(numbers) - 1}#"

    text = json.dumps(document, default=numbered)
    for number, written in enumerate(numbers):
        text = text.replace(f'"#{number}#"', written)
    return text.encode()


def answer(action: str) -> Decision | None:
    if action == "none":
        return None
    stop = 1 if action == "adjust_stops" else None
    return decision(action=action, quantity=1 if action in ("reduce", "add") else None, stop_loss=stop)


def reached(package: Package) -> bool:
    position, last = package.position, package.price.price.last
    assert position.stop_loss is not None
    return last <= position.stop_loss if position.side == "long" else last >= position.stop_loss


@given(snapshots(), ANSWERS)
def test_a_reached_stop_is_an_exit_or_held_as_unconfirmed(snapshot: Snapshot, action: str) -> None:
    package = build_package(snapshot)
    assert package.refusal is None
    found = guard(package, answer(action), GuardPolicy(grounding="off"), "no answer")
    fired = [name for name, _ in found.guards]
    if not reached(package):
        assert not {"stop_loss_breached", "stop_unconfirmed"} & set(fired)
        return
    event("in doubt" if package.price_doubts else "believed")
    if package.price_doubts:
        assert (found.action, fired[-1]) == ("hold", "stop_unconfirmed")
    else:
        assert (found.action, found.quantity, fired[-1]) == ("exit", package.position.quantity, "stop_loss_breached")
    assert "stop_loss" in found.reason
    exits = guard(package, answer(action), GuardPolicy(grounding="off", unconfirmed_stop="exit"), "no answer")
    assert exits.action == "exit"


@given(
    snapshots(),
    st.decimals("1", "1000", places=2),
    st.decimals("0.9", "1.1", places=3),
    st.decimals("1", "1.15", places=3),
    ANSWERS,
)
def test_an_everyday_price_at_its_stop_is_an_exit(
    snapshot: Snapshot, last: Decimal, step: Decimal, beyond: Decimal, action: str
) -> None:
    """Near the price before and near the stop, whatever else the package holds."""
    position, price = (canonical.loads(snapshot.sections[name].raw or b"") for name in ("position", "price"))
    position["stop_loss"] = last * beyond if position["side"] == "long" else last / beyond
    price["price"]["last"], price["timestamp"] = last, clock.iso(NOW_MS - 1000)
    before = Mark(last * step, NOW_MS - 60_000, clock.to_ms(clock.parse_iso(position["entry_time"])), Decimal(0))
    sections = snapshot.sections | {
        name: snapshot.sections[name]._replace(raw=wire(document))
        for name, document in (("position", position), ("price", price))
    }
    believed = before._replace(entry_price=position["entry_price"])
    package = build_package(snapshot.model_copy(update={"sections": sections, "marks": Marks(believed)}))
    found = guard(package, answer(action), GuardPolicy(grounding="off"), "no answer")
    assert (found.action, found.guards[-1].name) == ("exit", "stop_loss_breached")


@given(snapshots())
def test_the_marks_are_kept_in_the_evidence_and_lead_to_the_same_package(snapshot: Snapshot) -> None:
    again = Snapshot.from_evidence(canonical.dumps(canonical.loads(snapshot.evidence())))
    assert again.marks == snapshot.marks
    assert build_package(again) == build_package(snapshot)
