"""The limits beside a decision: each that is set, what it found, and whether it was for the action."""

from llmctx.console.limits_table import limit_rows
from llmctx.decision.mandate.mandate import Mandate

MANDATE = Mandate()
RECORD = {
    "symbol": "AAPL",
    "mandate": {"sha256": MANDATE.sha256},
    "decision": {"action": "add"},
    "verdict": {"guards": [{"name": "adds", "detail": "3 of 3 adds today"}]},
}


def test_each_limit_says_what_it_found_and_whether_it_was_for_the_action() -> None:
    rows = {row.rule: row for row in limit_rows(RECORD, {MANDATE.sha256: MANDATE.blob}, "long")}
    assert rows["adds"].found == "3 of 3 adds today"
    assert "adds per day 3" in rows["adds"].limits
    assert rows["adds"].applies
    assert [row.rule for row in rows.values() if row.found] == ["adds"]
    assert [row.rule for row in rows.values() if not row.applies]


def test_without_the_mandate_there_is_no_table() -> None:
    assert limit_rows(RECORD, {}, "long") == []
    assert limit_rows({"verdict": {}}, {}, "long") == []
