"""A search as people write it."""

import pytest

from llmctx import clock
from llmctx.console.search_words import terms_in

NOON_MS = clock.to_ms(clock.parse_iso("2026-03-02T12:00:00Z"))


@pytest.fixture(autouse=True)
def noon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "now_ms", lambda: NOON_MS)


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("", {}),
        ("09:31, ACME", {"at": "2026-03-02T09:31:59.999Z", "symbol": "ACME"}),
        ("ACME 14:31", {"at": "2026-03-01T14:31:59.999Z", "symbol": "ACME"}),
        ("9:31:07 ACME", {"at": "2026-03-02T09:31:07.999Z", "symbol": "ACME"}),
        ("yesterday 9:05 MSFT exit", {"at": "2026-03-01T09:05:59.999Z", "symbol": "MSFT", "action": "exit"}),
        ("2026-02-27 14:31, BRK B", {"at": "2026-02-27T14:31:59.999Z", "symbol": "BRK B"}),
        ("2026-02-27T14:31:00Z BTC/USDT:USDT", {"at": "2026-02-27T14:31:00Z", "symbol": "BTC/USDT:USDT"}),
        ("02-27 14:31 ACME", {"at": "2026-02-27T14:31:59.999Z", "symbol": "ACME"}),
        ("12-31 14:31 ACME", {"at": "2025-12-31T14:31:59.999Z", "symbol": "ACME"}),
        ("yesterday", {"since": "2026-03-01T00:00:00.000Z", "until": "2026-03-02T00:00:00.000Z"}),
        ("2h confidence_floor", {"since": "2h", "guard": "confidence_floor"}),
        ("position/v4 failed", {"prompt": "position/v4", "kind": "failed"}),
        ('ACME "fades while"', {"symbol": "ACME", "text": "fades while"}),
        ("momentum fades", {"text": "momentum fades"}),
        ("ACME MSFT", {"symbol": "ACME", "text": "MSFT"}),
        ("25:99, <script>", {"text": "25:99 <script>"}),
    ],
)
def test_a_search_means_what_its_words_name(text: str, terms: dict[str, str]) -> None:
    assert terms_in(text) == terms
