from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmctx import canonical
from llmctx.flow.news import MAX_SHOWN, WINDOW, Headline, NewsWindow
from llmctx.schema.values import Sentiment

AT = datetime(2014, 6, 6, 13, 30, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def headline(after: timedelta = timedelta(0), text: str = "Up", score: str = "0.5", **changes: Any) -> Headline:
    return Headline(AT + after, "AAPL", text, "Wire", "https://example.com/1", Decimal(score))._replace(**changes)


def news(*headlines: Headline) -> NewsWindow:
    made = NewsWindow()
    for one in headlines:
        made.add(one)
    return made


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
    again = Headline.from_member(one.symbol, one.member())
    assert again == one
    assert again.member() == one.member()


@given(headlines, headlines)
def test_members_are_equal_where_headlines_are(one: Headline, other: Headline) -> None:
    other = other._replace(symbol=one.symbol)
    assert (one.member() == other.member()) == (one == other and str(one.score) == str(other.score))


def test_without_news_the_sentiment_is_empty() -> None:
    nothing: dict[str, Any] = {"sentiment_score": None, "sentiment_label": None, "news_count": 0, "latest_news": []}
    assert NewsWindow().value(AT) == nothing
    assert canonical.loads(NewsWindow().wire(AT)) == nothing


def test_the_score_is_the_mean_and_the_newest_come_first() -> None:
    found = news(headline(text="a", score="0.5"), headline(SECOND, "b", "-0.25"), headline(2 * SECOND, "c", "0"))
    value = found.value(AT + 2 * SECOND)
    assert (value["sentiment_score"], value["news_count"]) == (Decimal("0.0833"), 3)
    assert [one["headline"] for one in value["latest_news"]] == ["c", "b", "a"]


def test_the_value_fits_the_schema() -> None:
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


def test_only_the_newest_are_listed_but_all_are_counted() -> None:
    value = news(*(headline(at * SECOND, f"news {at}") for at in range(20))).value(AT + 20 * SECOND)
    assert value["news_count"] == 20
    assert [one["headline"] for one in value["latest_news"]] == [f"news {at}" for at in range(19, 19 - MAX_SHOWN, -1)]


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
def test_repeated_words_count_once_at_the_newest_time(again: str) -> None:
    found = NewsWindow()
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


def test_a_discarded_headline_may_be_repeated() -> None:
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
    found = NewsWindow()
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
    assert shown == sorted((AT + row[0] * hour for row in counted.values()), reverse=True)[:MAX_SHOWN]


@given(spread)
def test_a_feed_resuming_from_stored_headlines_gives_the_same_value(rows: list[tuple[int, str, Decimal]]) -> None:
    told = [headline(after * SECOND, text, str(score)) for after, text, score in sorted(rows, key=lambda row: row[0])]
    first = NewsWindow()
    kept = [(one.at, one.member()) for one in told if first.add(one)]  # as the feed stores them in the sorted set
    again = news(*(Headline.from_member("AAPL", member) for _, member in sorted(kept)))
    at = AT + 200 * SECOND
    assert again.value(at) == first.value(at)
