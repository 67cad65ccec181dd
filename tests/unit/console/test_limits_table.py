"""The limits beside a decision: each that is set, what it found, and whether it was for the action."""

from llmctx.console.limits_table import LimitLine, limit_rows
from llmctx.context.ledger import Ledger
from llmctx.decision.mandate.mandate import Mandate
from tests.unit.context.scene import package_of

MANDATE = Mandate()
RECORD = {
    "symbol": "AAPL",
    "mandate": {"sha256": MANDATE.sha256},
    "decision": {"action": "add"},
    "verdict": {"guards": [{"name": "adds", "detail": "3 of 3 adds today"}]},
}


def test_each_limit_says_what_it_found_and_whether_it_was_for_the_action() -> None:
    rows = {row.rule: row for row in limit_rows(RECORD, {MANDATE.sha256: MANDATE.blob}, None)}
    assert rows["adds"].found == "3 of 3 adds today"
    assert LimitLine("adds per day", "3", "", "") in rows["adds"].limits
    assert rows["adds"].applies
    assert [row.rule for row in rows.values() if row.found] == ["adds"]
    assert [row.rule for row in rows.values() if not row.applies]


def test_what_is_used_up_is_shown_with_what_is_left() -> None:
    package = package_of()
    opened = package.position.quantity / 4
    entry_ms = int(package.position.entry_time.timestamp() * 1000)
    ledger = Ledger(entry_ms, opened=opened, adds=1, day=package.as_of_ms // 86_400_000, adds_today=5)
    known = package.model_copy(update={"ledger": ledger})
    rows = limit_rows(RECORD, {MANDATE.sha256: MANDATE.blob}, known)
    lines = {line.name: line[1:] for row in rows for line in row.limits}
    assert lines["adds per position"] == ("3", "1", "2")
    assert lines["adds per day"] == ("3", "5", "0")
    assert lines["max times opened"] == ("2", "4", "0")
    assert lines["actions per hour"] == ("12", "0", "12")
    assert lines["stop max %"] == ("15", "", "")


def test_without_the_mandate_there_is_no_table() -> None:
    assert limit_rows(RECORD, {}, None) == []
    assert limit_rows({"verdict": {}}, {}, None) == []


def test_what_a_rule_found_stands_beside_the_limit_that_it_names() -> None:
    guards = [{"name": "position_size", "detail": "100 are held, and equity_share_pct allows 99.88: add becomes hold"}]
    record = RECORD | {"verdict": {"guards": guards}}
    (row,) = (each for each in limit_rows(record, {MANDATE.sha256: MANDATE.blob}, None) if each.found)
    assert row.limits[row.place].name == "equity share %"
