import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmctx.errors import FeedError
from llmctx.flow.bars import BadRow
from llmctx.flow.news import Headline, NewsWindow, headline_of
from llmctx.flow.news_file import headlines_of, parse_headlines, read_news
from tests.days import Day

AT = datetime(2014, 6, 6, 13, 30, tzinfo=UTC)
SECOND = timedelta(seconds=1)
GOOD: dict[str, Any] = {
    "timestamp": "2014-06-06T13:30:00.000Z",
    "symbol": "AAPL",
    "headline": "Apple Reports Strong Earnings",
    "source": "Wire",
    "url": "https://example.com/1",
}
SCORED = GOOD | {"sentiment_score": 0.75, "sentiment_label": "bullish"}


def line(**changes: Any) -> str:
    """The good line with changes; None removes a field."""
    return json.dumps({name: value for name, value in (SCORED | changes).items() if value is not None})


def good(**changes: Any) -> Headline:
    (found,) = parse_headlines(line(**changes), 7)
    assert isinstance(found, Headline), found
    return found


def why(text: str) -> str:
    (found,) = parse_headlines(text, 7)
    assert isinstance(found, BadRow), found
    assert found.line == 7
    return found.why


def test_a_good_line_is_a_headline() -> None:
    text, source, url = GOOD["headline"], GOOD["source"], GOOD["url"]
    assert good() == Headline(AT, "AAPL", text, source, url, Decimal("0.75"), "bullish")


@pytest.mark.parametrize("timestamp", ["2014-06-06T13:30:00Z", "2014-06-06T09:30:00-04:00", "20140606T133000+0000"])
def test_a_time_with_a_zone_is_converted_to_utc(timestamp: str) -> None:
    assert good(timestamp=timestamp).at == AT


NOT_STRINGS: list[Any] = [5, ["x"], {}, False]
TIMES: list[Any] = [None, "", "now", "2014-06-06T13:30:00", "2014-06-06", 1402061400, [], True, "0001-01-01T00:00:00Z"]
BEYOND_THE_CALENDAR = ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "9999-12-31T12:00Z"]
MALFORMED: list[tuple[str, Any, str]] = [
    *[("timestamp", value, f"timestamp {value!r}: ") for value in [*TIMES, *BEYOND_THE_CALENDAR]],
    *[
        ("symbol", value, f"symbol: {value!r} is not a symbol")
        for value in ("A  B", "{A}", "\uff21", "A" * 33, "-A", "*")
    ],
    *[
        (name, value, f"{name} must be a string that is not empty")
        for name in ("symbol", "headline")
        for value in (None, "", "  ", *NOT_STRINGS)
    ],
    *[(name, value, f"{name} must be a string") for name in ("source", "url") for value in NOT_STRINGS],
    *[(name, "x" * 1001, f"{name} has more than 1000 characters") for name in ("symbol", "headline", "source", "url")],
    *[
        ("sentiment_score", value, "sentiment_score must be a number from -1 to 1")
        for value in (1.0001, -1.0001, 2, 1e300, "0.5", True, [0.5])
    ],
    *[
        ("sentiment_label", value, "sentiment_label must be one of bullish, bearish, neutral")
        for value in ("Bullish", "good", "", 1, True, ["bullish"])
    ],
]


@pytest.mark.parametrize(("name", "value", "message"), MALFORMED)
def test_a_malformed_field_is_named_with_the_rule_it_breaks(name: str, value: Any, message: str) -> None:
    assert why(line(**{name: value})).startswith(f"malformed headline: {message}")


@pytest.mark.parametrize("name", ["source", "url"])
def test_a_missing_source_or_url_is_empty(name: str) -> None:
    assert getattr(good(**{name: None}), name) == ""


def test_a_headline_may_have_a_thousand_characters() -> None:
    assert good(headline="ä" * 1000).headline == "ä" * 1000


@pytest.mark.parametrize(
    ("text", "message"),
    [
        *[
            (text, "not valid JSON: ")
            for text in ("", "x", "{", '{"a":1}{', '{"symbol":"A","symbol":"A"}', '{"sentiment_score":NaN}')
        ],
        *[(text, "not a JSON object") for text in ("[]", "5", '"AAPL"', "null", "true")],
    ],
)
def test_a_line_that_is_not_a_json_object_is_rejected(text: str, message: str) -> None:
    assert why(text).startswith(f"malformed headline: {message}")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.decimals(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=4,
)


@given(st.dictionaries(st.sampled_from(list(SCORED)), json_values))
def test_no_object_makes_reading_fail(document: dict[str, Any]) -> None:
    assert isinstance(headline_of(document, 1), Headline | BadRow)
    assert isinstance(headline_of(SCORED | {"sentiment_score": 0} | document, 1), Headline | BadRow)


@pytest.mark.parametrize(
    ("given_", "score"), [(1, "1"), (-1, "-1"), (0, "0"), (0.12345678, "0.1235"), (-0.75, "-0.75")]
)
def test_a_providers_score_is_rounded_to_four_decimals(given_: float, score: str) -> None:
    assert good(sentiment_score=given_).score == Decimal(score)


@pytest.mark.parametrize(
    ("text", "sign"),
    [
        ("A great, wonderful success!", 1),
        ("A terrible disaster and a lawsuit", -1),
        ("Shares plunge after the outlook is slashed", -1),
        ("Gross margin climbs to a record", 1),
        ("Cancer trial approved", 1),
        ("A killer app beats every forecast", 1),
        ("ABC +3.5% after hours", 1),
        ("ABC -2% on valuation", -1),
        ("Losses narrow at ABC", 1),
        ("ABC pares early losses", 1),
        ("ABC fails to beat forecasts", -1),
        ("ABC averts bankruptcy", 1),
        ("ABC sinks to a 52-week low", -1),
        ("ABC at an all-time high", 1),
        ("ABC halves its dividend", -1),
        ("Profit at Banco de Chile falls", -1),
        ("Shares of the group", None),
        ("Das war der Gewinn im Quartal", None),
        ("La empresa no par\u00f3 las ventas por el crash", None),
        ("Die Aktie steigt", None),
        ("A table", None),
        ("\u516c\u53f8\u4e1a\u7ee9\u5927\u5e45\u4e0b\u6ed1", None),
        ("L\u2019action s\u2019effondre, b\u00e9n\u00e9fice en chute libre", None),
    ],
)
def test_without_a_providers_score_the_words_are_scored_and_unread_ones_have_none(text: str, sign: int | None) -> None:
    score = good(headline=text, sentiment_score=None, sentiment_label=None).score
    assert (None if score is None else (score > 0) - (score < 0)) == sign


def test_headlines_that_nobody_could_read_count_and_have_no_score() -> None:
    window = NewsWindow()
    window.add(good(headline="A table", sentiment_score=None, sentiment_label=None))
    value = window.value(good().at)
    assert (value["news_count"], value["sentiment_score"], value["sentiment_label"]) == (1, None, None)
    window.add(good(headline="Shares soar", sentiment_score=None, sentiment_label=None))
    assert window.value(good().at)["sentiment_label"] == "bullish"
    unread = good(headline="A table", sentiment_score=None, sentiment_label=None)
    assert Headline.from_member("AAPL", unread.member()) == unread


def test_a_providers_score_takes_precedence_over_vader() -> None:
    assert good(headline="A terrible disaster", sentiment_score=0.9).score == Decimal("0.9")


def test_a_file_gives_headlines_and_bad_lines_in_its_order_with_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "news.jsonl"
    path.write_text("\n".join([line(), "", "x", line(symbol="MSFT"), line(url=5), ""]), encoding="utf-8")
    found = list(read_news(path))
    assert [getattr(one, "symbol", None) for one in found] == ["AAPL", None, "MSFT", None]
    assert [one.line for one in found if isinstance(one, BadRow)] == [3, 5]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_byte_order_mark_and_other_line_ends_say_nothing(mark: str, end: str, tmp_path: Path) -> None:
    path = tmp_path / "news.jsonl"
    path.write_bytes((mark + line() + end + line() + end).encode())
    assert list(read_news(path)) == [good(), good()]


@pytest.mark.parametrize("odd", ["\u2028", "\u0085", "\u000c"])
def test_lines_end_at_a_line_feed_only(odd: str, tmp_path: Path) -> None:
    path = tmp_path / "news.jsonl"
    text = json.dumps(SCORED | {"headline": f"a{odd}b"}, ensure_ascii=False) if odd != "\u000c" else line() + odd
    path.write_text(text + "\n", encoding="utf-8")
    assert len(list(read_news(path))) == 1


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FeedError, match=r"none\.jsonl cannot be read"):
        list(read_news(tmp_path / "none.jsonl"))


def test_a_binary_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "news.jsonl"
    path.write_bytes(b"\xff\xfe\xff")
    with pytest.raises(FeedError, match=r"news\.jsonl cannot be read"):
        list(read_news(path))


def test_every_headline_of_whole_days_is_valid(day: Day) -> None:
    found = list(read_news(day.news))
    assert len(found) == day.news.read_bytes().count(b"\n") > 5
    assert all(isinstance(one, Headline) for one in found)


POLYGON = {
    "published_utc": "2026-03-02T14:59:00Z",
    "title": "Two makers sign",
    "tickers": ["AAPL", "MSFT"],
    "publisher": {"name": "Wire"},
    "article_url": "https://example.com/1",
    "insights": [{"ticker": "MSFT", "sentiment": "negative", "sentiment_reasoning": "x"}],
}
ALPACA = {
    "id": 1, "created_at": "2026-03-02T14:59:00Z", "headline": "Two makers sign", "symbols": ["AAPL", "MSFT"],
    "source": "Wire", "url": "https://example.com/1", "author": "A", "summary": None,
}  # fmt: skip
FINNHUB = {
    "category": "company", "datetime": 1772463540, "headline": "Two makers sign", "id": 1, "related": "AAPL,MSFT",
    "source": "Wire", "url": "https://example.com/1", "summary": "",
}  # fmt: skip


YFINANCE = {
    "title": "Two makers sign", "publisher": "Wire", "link": "https://example.com/1", "providerPublishTime": 1772463540,
    "relatedTickers": ["AAPL", "MSFT"], "thumbnail": {},
}  # fmt: skip


@pytest.mark.parametrize(
    "document", [POLYGON, ALPACA, FINNHUB, YFINANCE], ids=["polygon", "alpaca", "finnhub", "yfinance"]
)
@pytest.mark.parametrize("form", ["lines", "list", "answer"])
def test_a_providers_file_gives_a_headline_for_each_symbol(document: dict[str, Any], form: str, tmp_path: Path) -> None:
    forms = {"lines": document, "list": [document], "answer": {"results": [document], "next_url": "x"}}
    path = tmp_path / "news.json"
    path.write_text(json.dumps(forms[form], indent=None if form == "lines" else 1), encoding="utf-8")
    found = [one for one in read_news(path) if isinstance(one, Headline)]
    assert [one.symbol for one in found] == ["AAPL", "MSFT"]
    assert {(one.at.isoformat(), one.headline, one.source, one.url) for one in found} == {
        ("2026-03-02T14:59:00+00:00", "Two makers sign", "Wire", "https://example.com/1")
    }
    assert found[1].label == ("bearish" if document is POLYGON else None)


@pytest.mark.parametrize(
    "document",
    [
        {
            "id": "1",
            "content": {
                "title": "Two makers sign", "pubDate": "2026-03-02T14:59:00Z", "provider": {"displayName": "Wire"},
                "canonicalUrl": {"url": "https://example.com/1"},
            },
        },
        {
            "title": "Two makers sign", "published": "Mon, 02 Mar 2026 09:59:00 -0500",
            "link": "https://example.com/1", "source": {"title": "Wire"},
        },
    ],
    ids=["yfinance", "rss"],
)  # fmt: skip
def test_news_that_was_asked_for_by_symbol_has_the_symbol_beside_it(document: dict[str, Any]) -> None:
    (found,) = headlines_of(document | {"symbol": "AAPL"}, 1)
    (unnamed,) = headlines_of(document, 1)
    assert isinstance(found, Headline)
    assert found[:5] == (
        datetime(2026, 3, 2, 14, 59, tzinfo=UTC), "AAPL", "Two makers sign", "Wire", "https://example.com/1",
    )  # fmt: skip
    assert isinstance(unnamed, BadRow)
    assert "add `symbol`" in unnamed.why


def test_a_providers_label_is_not_contradicted_by_a_score_of_ours() -> None:
    plunge = POLYGON | {"title": "Shares plunge", "insights": [{"ticker": "MSFT", "sentiment": "positive"}]}
    found = [one for one in headlines_of(plunge, 1) if isinstance(one, Headline)]
    assert [(one.symbol, one.label, one.score is None) for one in found] == [
        ("AAPL", None, False),
        ("MSFT", "bullish", True),
    ]


def test_a_providers_headline_without_a_symbol_is_named(tmp_path: Path) -> None:
    path = tmp_path / "news.json"
    path.write_text(json.dumps([ALPACA | {"symbols": []}]), encoding="utf-8")
    (row,) = read_news(path)
    assert isinstance(row, BadRow)
    assert "symbol must be a string" in row.why
