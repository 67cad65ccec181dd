import pytest

from llmctx import clock
from llmctx.errors import CorpusError
from llmctx.replay.selection import Selection, parse_selection
from tests.unit.makers import NOW, NOW_MS

from .cases import case


@pytest.mark.parametrize(
    ("text", "selection"),
    [
        ("all", Selection()),
        ("", Selection()),
        ("12", Selection(first=12, last=12)),
        ("40-80", Selection(first=40, last=80)),
        ("40-", Selection(first=40)),
        ("-80", Selection(last=80)),
        ("2:5-9", Selection(partition=2, first=5, last=9)),
        ("symbol=BRK.B, limit=3", Selection(symbol="BRK.B", limit=3)),
        ("action=exit,guard=quantity_cap,kind=failed", Selection(action="exit", guard="quantity_cap", kind="failed")),
        (f"since={NOW},until={NOW}", Selection(since_ms=NOW_MS, until_ms=NOW_MS)),
    ],
)
def test_a_text_is_a_selection(text: str, selection: Selection) -> None:
    assert parse_selection(text) == selection


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "-",
        "1-2-3",
        "a=b",
        "symbol=",
        "limit=0",
        "limit=-1",
        "limit=x",
        "since=yesterday",
        "1:",
        "symbol=A,symbol=B",
    ],
)
def test_a_term_that_is_none_is_named(text: str) -> None:
    with pytest.raises(CorpusError, match=r"selection|selects"):
        parse_selection(text)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("all", True), ("7", True), ("8-", False), ("-6", False), ("0:7", True), ("1:7", False),
        ("symbol=AAPL", True), ("symbol=MSFT", False), ("action=hold", True), ("action=exit", False),
        ("guard=confidence_floor", True), ("guard=stale_price", False), ("kind=decision", True), ("kind=failed", False),
        (f"since={NOW}", True), (f"until={NOW}", False), (f"since={clock.iso(NOW_MS + 1)}", False),
        (f"until={clock.iso(NOW_MS + 1)}", True),
    ],
)  # fmt: skip
def test_a_selection_wants_the_records_it_names(text: str, *, wanted: bool) -> None:
    unsure = case(7, said={"action": "exit", "confidence": 0.2})
    assert parse_selection(text).wants(unsure) is wanted
