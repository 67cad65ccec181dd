import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from llmctx import canonical
from llmctx.errors import FeedError
from llmctx.flow.bars import BadRow
from llmctx.flow.news import SHOWN, WINDOW, Headline, News, headline_of, parse_headline, read_news
from llmctx.schema.values import Sentiment
from tests.days import RECORDED, Day

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
    """The good line with changes; None leaves a field out."""
    return json.dumps({name: value for name, value in (SCORED | changes).items() if value is not None})


def good(**changes: Any) -> Headline:
    found = parse_headline(line(**changes), 7)
    assert isinstance(found, Headline), found
    return found


def why(text: str) -> str:
    found = parse_headline(text, 7)
    assert isinstance(found, BadRow), found
    assert found.line == 7
    return found.why


def headline(after: timedelta = timedelta(0), text: str = "Up", score: str = "0.5", **changes: Any) -> Headline:
    return Headline(AT + after, "AAPL", text, "Wire", "https://example.com/1", Decimal(score))._replace(**changes)


def news(*headlines: Headline) -> News:
    made = News()
    for one in headlines:
        made.add(one)
    return made


def test_a_good_line_is_a_headline() -> None:
    text, source, url = GOOD["headline"], GOOD["source"], GOOD["url"]
    assert good() == Headline(AT, "AAPL", text, source, url, Decimal("0.75"), "bullish")


@pytest.mark.parametrize("timestamp", ["2014-06-06T13:30:00Z", "2014-06-06T09:30:00-04:00", "20140606T133000+0000"])
def test_a_time_with_a_zone_is_taken_to_utc(timestamp: str) -> None:
    assert good(timestamp=timestamp).at == AT


@pytest.mark.parametrize("timestamp", [None, "", "now", "2014-06-06T13:30:00", "2014-06-06", 1402061400, [], True])
def test_a_time_that_is_none_or_has_no_zone_is_named(timestamp: Any) -> None:
    assert why(line(timestamp=timestamp)).startswith(f"no headline: timestamp {timestamp!r}: ")


@pytest.mark.parametrize(
    "timestamp", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00Z", "9999-12-31T12:00Z"]
)
def test_a_time_beyond_the_calendar_is_named(timestamp: str) -> None:
    assert why(line(timestamp=timestamp)).startswith("no headline: timestamp ")


@pytest.mark.parametrize("symbol", ["A B", "A:B", "{A}", "Ä", "A" * 33, "-A", "*"])
def test_a_symbol_that_can_be_no_key_is_named(symbol: str) -> None:
    assert why(line(symbol=symbol)).startswith(f"no headline: symbol: {symbol!r} is no symbol")


@pytest.mark.parametrize("name", ["symbol", "headline"])
@pytest.mark.parametrize("value", [None, "", "  ", 5, ["x"], {}, False])
def test_a_text_that_is_needed_and_not_there_is_named(name: str, value: Any) -> None:
    assert why(line(**{name: value})) == f"no headline: {name} must be a text that is not empty"


@pytest.mark.parametrize("name", ["source", "url"])
@pytest.mark.parametrize("value", [5, ["x"], {}, False])
def test_a_source_that_is_no_text_is_named(name: str, value: Any) -> None:
    assert why(line(**{name: value})) == f"no headline: {name} must be a text"


@pytest.mark.parametrize("name", ["source", "url"])
def test_a_source_that_is_not_given_is_empty(name: str) -> None:
    assert getattr(good(**{name: None}), name) == ""


@pytest.mark.parametrize("name", ["symbol", "headline", "source", "url"])
def test_a_text_beyond_a_thousand_characters_is_named(name: str) -> None:
    assert why(line(**{name: "x" * 1001})) == f"no headline: {name} has more than 1000 characters"


def test_a_headline_of_a_thousand_characters_is_one() -> None:
    assert good(headline="ä" * 1000).headline == "ä" * 1000


@pytest.mark.parametrize("score", [1.0001, -1.0001, 2, 1e300, "0.5", True, [0.5]])
def test_a_score_beyond_its_scale_is_named(score: Any) -> None:
    assert why(line(sentiment_score=score)) == "no headline: sentiment_score must be a number from -1 to 1"


@pytest.mark.parametrize("label", ["Bullish", "good", "", 1, True, ["bullish"]])
def test_a_label_that_is_none_is_named(label: Any) -> None:
    said = why(line(sentiment_label=label))
    assert said == "no headline: sentiment_label must be one of bullish, bearish, neutral"


@pytest.mark.parametrize("text", ["", "x", "{", '{"a":1}{', '{"symbol":"A","symbol":"A"}', '{"sentiment_score":NaN}'])
def test_a_line_that_is_no_json_says_so(text: str) -> None:
    assert why(text).startswith("no headline: no JSON: ")


@pytest.mark.parametrize("text", ["[]", "5", '"AAPL"', "null", "true"])
def test_a_line_that_is_no_object_says_so(text: str) -> None:
    assert why(text) == "no headline: is no JSON object"


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
def test_a_providers_score_is_taken_in_four_places(given_: float, score: str) -> None:
    assert good(sentiment_score=given_).score == Decimal(score)


@pytest.mark.parametrize(
    ("text", "sign"), [("A great, wonderful success!", 1), ("A terrible disaster and a lawsuit", -1), ("A table", 0)]
)
def test_without_a_providers_score_the_words_are_scored_by_vader(text: str, sign: int) -> None:
    score = good(headline=text, sentiment_score=None).score
    assert float(score) == SentimentIntensityAnalyzer().polarity_scores(text)["compound"]
    assert (score > 0) - (score < 0) == sign


def test_a_providers_score_stands_against_what_vader_would_say() -> None:
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


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FeedError, match=r"none\.jsonl cannot be read"):
        list(read_news(tmp_path / "none.jsonl"))


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    path = tmp_path / "news.jsonl"
    path.write_bytes(b"\xff\xfe\xff")
    with pytest.raises(FeedError, match=r"news\.jsonl cannot be read"):
        list(read_news(path))


def test_every_headline_of_whole_days_is_one_and_is_scored_as_vader_says(day: Day) -> None:
    vader = SentimentIntensityAnalyzer()
    for news in [whole.news for whole in (day, *RECORDED) if whole.news is not None]:
        found = list(read_news(news))
        assert len(found) == news.read_bytes().count(b"\n") > 5
        for one in found:
            assert isinstance(one, Headline)
            assert float(one.score) == vader.polarity_scores(one.headline)["compound"]


texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
headlines = st.builds(
    Headline,
    at=st.integers(0, 4_000_000_000_000).map(lambda ms: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)),
    symbol=st.sampled_from(["AAPL", "MSFT"]),
    headline=texts,
    source=texts,
    url=texts,
    score=st.decimals(-1, 1, places=4),
    label=st.sampled_from([None, "bullish", "bearish", "neutral"]),
)


@given(headlines)
def test_a_headline_comes_back_from_its_member(one: Headline) -> None:
    again = Headline.of_member(one.symbol, one.member())
    assert again == one
    assert again.member() == one.member()


@given(headlines, headlines)
def test_members_are_equal_where_headlines_are(one: Headline, other: Headline) -> None:
    other = other._replace(symbol=one.symbol)
    assert (one.member() == other.member()) == (one == other and str(one.score) == str(other.score))


def test_without_news_nothing_is_said() -> None:
    nothing: dict[str, Any] = {"sentiment_score": None, "sentiment_label": None, "news_count": 0, "latest_news": []}
    assert News().value(AT) == nothing
    assert canonical.loads(News().wire(AT)) == nothing


def test_the_score_is_the_mean_and_the_newest_come_first() -> None:
    found = news(headline(text="a", score="0.5"), headline(SECOND, "b", "-0.25"), headline(2 * SECOND, "c", "0"))
    value = found.value(AT + 2 * SECOND)
    assert (value["sentiment_score"], value["news_count"]) == (Decimal("0.0833"), 3)
    assert [one["headline"] for one in value["latest_news"]] == ["c", "b", "a"]


def test_what_is_written_out_has_the_shape_of_the_schema() -> None:
    value = news(headline(), headline(SECOND, "b")).value(AT + SECOND)
    Sentiment.model_validate(value | {"timestamp": "2014-06-06T13:30:01.000Z"})
    assert value["latest_news"][1] == {
        "headline": "Up",
        "source": "Wire",
        "timestamp": "2014-06-06T13:30:00.000Z",
        "url": "https://example.com/1",
    }


@pytest.mark.parametrize(
    ("score", "label"),
    [("0.05", "bullish"), ("0.0499", "neutral"), ("0", "neutral"), ("-0.0499", "neutral"), ("-0.05", "bearish")],
)
def test_the_label_follows_the_score(score: str, label: str) -> None:
    assert news(headline(score=score)).value(AT)["sentiment_label"] == label


@pytest.mark.parametrize(("score", "label"), [("0", "bullish"), ("0", "bearish"), ("0.3", "neutral")])
def test_a_single_headlines_label_is_the_providers_where_it_has_one(score: str, label: str) -> None:
    assert news(headline(score=score, label=label)).value(AT)["sentiment_label"] == label


def test_only_so_many_are_written_out_and_all_are_counted() -> None:
    value = news(*(headline(at * SECOND, f"news {at}") for at in range(20))).value(AT + 20 * SECOND)
    assert value["news_count"] == 20
    assert [one["headline"] for one in value["latest_news"]] == [f"news {at}" for at in range(19, 19 - SHOWN, -1)]


def test_a_headline_counts_for_a_day_and_no_longer() -> None:
    found = news(headline(), headline(SECOND, "b"))
    counts = [found.value(AT + WINDOW + after)["news_count"] for after in (-SECOND, timedelta(0), SECOND)]
    assert counts == [2, 1, 0]


def test_what_is_written_as_json_changes_with_the_value() -> None:
    found = news(headline())
    first = found.wire(AT)
    assert found.wire(AT + SECOND) == first
    found.add(headline(SECOND, "b"))
    assert canonical.loads(found.wire(AT + SECOND))["news_count"] == 2
    assert canonical.loads(found.wire(AT + WINDOW))["news_count"] == 1


@pytest.mark.parametrize("again", ["Up we go", "up WE go", "  Up  we\tgo ", "UP WE GO"])
def test_the_same_words_count_once_at_their_newest(again: str) -> None:
    found = News()
    assert found.add(headline(text="Up we go", score="0.1"))
    assert found.add(headline(SECOND, again, "0.9"))
    value = found.value(AT + SECOND)
    assert (value["news_count"], value["sentiment_score"]) == (1, Decimal("0.9"))
    assert value["latest_news"][0]["timestamp"] == "2014-06-06T13:30:01.000Z"


@pytest.mark.parametrize("earlier", [timedelta(0), SECOND])
def test_a_repeat_that_is_not_newer_changes_nothing(earlier: timedelta) -> None:
    found = news(headline(text="Up we go"))
    before = found.value(AT)
    assert not found.add(headline(-earlier, "up we go", "-1"))
    assert found.value(AT) == before


def test_words_may_be_said_again_once_they_are_forgotten() -> None:
    found = news(headline())
    assert found.value(AT + WINDOW)["news_count"] == 0
    assert found.add(headline(WINDOW))
    assert found.value(AT + WINDOW)["news_count"] == 1


spread = st.lists(
    st.tuples(st.integers(0, 100), st.sampled_from("abcdefgh"), st.decimals(-1, 1, places=4)), max_size=30
)


@given(spread, st.integers(0, 60))
def test_the_value_is_what_the_headlines_of_the_window_add_up_to(
    rows: list[tuple[int, str, Decimal]], later: int
) -> None:
    hour = timedelta(hours=1)
    rows = sorted(rows, key=lambda row: row[0])
    at = AT + ((rows[-1][0] if rows else 0) + later) * hour
    found = News()
    for after, text, score in rows:
        found.add(headline(after * hour, text, str(score)))
        found.value(AT + after * hour)
    newest = {text: (after, score) for after, text, score in reversed(rows)}
    for after, text, score in rows:
        if after > newest[text][0]:
            newest[text] = after, score
    counted = {text: row for text, row in newest.items() if AT + row[0] * hour > at - WINDOW}
    value = found.value(at)
    assert value["news_count"] == len(counted)
    if counted:
        firsts = {text: next(s for a, t, s in rows if (a, t) == (row[0], text)) for text, row in counted.items()}
        assert value["sentiment_score"] == (sum(firsts.values(), Decimal(0)) / len(firsts)).quantize(Decimal("0.0001"))
    shown = [datetime.fromisoformat(one["timestamp"]) for one in value["latest_news"]]
    assert shown == sorted((AT + row[0] * hour for row in counted.values()), reverse=True)[:SHOWN]


@given(spread)
def test_a_feed_that_goes_on_from_what_was_kept_says_the_same(rows: list[tuple[int, str, Decimal]]) -> None:
    told = [headline(after * SECOND, text, str(score)) for after, text, score in sorted(rows, key=lambda row: row[0])]
    first = News()
    kept = [(one.at, one.member()) for one in told if first.add(one)]  # what the feed puts into the sorted set
    again = news(*(Headline.of_member("AAPL", member) for _, member in sorted(kept)))
    at = AT + 200 * SECOND
    assert again.value(at) == first.value(at)
