import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmctx.errors import SchemaError
from llmctx.limits import MAX_SYMBOL_CHARS
from llmctx.schema.symbol import check_symbol, is_symbol

AS_MARKETS_WRITE_THEM = [
    *("A", "BRK.B", "BRK B", "7203", "RY-PR", "^GSPC", ".SPX", "=F", "$SPX", "/ES", "@107", "ES1!", "I:SPX"),
    *("BTC/USD", "BTC/USDT:USDT", "EURUSD=X", "M&M.NS", "NSE:INFY", "xyz:TSLA", "#ES", "x_1", "ES+1"),
    *("币安人生USDT", "株式会社", "ÄÖ", "A" * MAX_SYMBOL_CHARS),
]
REFUSED = [
    *("", " ", " A", "A ", "A  B", "A\tB", "A\n", "\nA", "A\x00", "A" * (MAX_SYMBOL_CHARS + 1)),
    *("{0}", "A{", "A*", "A?", "[A]", "A\\", '"', "A'", "A,B", "A;B", "<A>", "A|B", "`A`"),
    *(".", "-A", "--help", "$", "^^^A", "ＡＡＰＬ", "e\u0301", "A\u200bB", "\u202eA", "A😀"),
]


@pytest.mark.parametrize("symbol", AS_MARKETS_WRITE_THEM)
def test_a_symbol_as_a_market_writes_it_is_accepted(symbol: str) -> None:
    assert check_symbol(symbol) == symbol


@pytest.mark.parametrize("text", REFUSED)
def test_a_text_that_is_unsafe_as_a_symbol_is_refused_and_named(text: str) -> None:
    with pytest.raises(SchemaError) as caught:
        check_symbol(text)
    assert repr(text) in caught.value.what


@given(st.text(max_size=40))
def test_no_symbol_holds_a_character_that_keys_patterns_or_prompts_understand(text: str) -> None:
    if is_symbol(text):
        assert not set(text) & set("{}*?[]\\\"'`<>|;,\n\r\t")
        assert not text.startswith(("-", " "))
        assert all(unicodedata.category(character)[0] in "LNPS" or character == " " for character in text)
