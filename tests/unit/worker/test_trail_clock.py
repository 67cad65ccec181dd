"""The clock that a record shows."""

import pytest

from llmctx.trail.log.entry import Entry
from llmctx.worker.trail_clock import _shown_in


@pytest.mark.parametrize(
    ("snapshot", "shown"),
    [
        (b'{"clock":"bars"}', ("bars", False)),
        (b'{"clock":"bars","trail_clock":"server"}', ("server", True)),
        (b"{}", None),
        (b"no JSON", None),
    ],
)
def test_a_decision_shows_the_clock_of_its_snapshot(snapshot: bytes, shown: object) -> None:
    entry = Entry(b"", {"snapshot": snapshot}, index=0)
    entry.accept({"kind": "decision", "verdict": {"action": "hold"}})
    assert _shown_in(entry) == shown
