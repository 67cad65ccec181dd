from datetime import timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmctx.flow.bars import BadRow, Bar
from llmctx.flow.news import Headline
from llmctx.flow.timeline import Item, Timeline, Vix, by_stamp, in_order, moments
from tests.unit.flow.makers import MINUTE, OPENING, bar

HALF = timedelta(seconds=30)
FIVE = timedelta(minutes=5)


def headline(halves: int, text: str = "Up") -> Headline:
    return Headline(OPENING + halves * HALF, "AAPL", text, "", "", Decimal(0))


def stamp(item: Item) -> object:
    assert not isinstance(item, BadRow)
    return item.start if isinstance(item, Bar) else item.at


def by_known_time(items: list[Item], interval: timedelta) -> list[Item]:
    """The promised order: by the time at which an item is known, bars last, otherwise unchanged."""

    def known(item: Item) -> tuple[object, bool]:
        assert not isinstance(item, BadRow)
        return (item.end(interval), True) if isinstance(item, Bar) else (item.at, False)

    return sorted(items, key=known)


bars = st.builds(lambda at, symbol: bar(at, symbol=symbol), st.integers(0, 12), st.sampled_from(["A", "B", "C"]))
headlines = st.builds(headline, st.integers(0, 30), st.sampled_from(["Up", "Down"]))
readings = st.builds(lambda at: Vix(OPENING + at * HALF, Decimal(15)), st.integers(0, 30))
intervals = st.sampled_from([MINUTE, FIVE])
sources = st.lists(bars | headlines | readings, max_size=40).map(lambda items: sorted(items, key=stamp))  # type: ignore[arg-type]
bad_rows = st.builds(BadRow, st.integers(1, 100), st.just("no bar"))


@given(sources, intervals)
def test_items_come_in_the_order_in_which_they_become_known(items: list[Item], interval: timedelta) -> None:
    assert list(in_order(items, interval)) == by_known_time(items, interval)


@given(sources, intervals)
def test_an_item_is_released_once_a_later_stamp_arrives(items: list[Item], interval: timedelta) -> None:
    timeline, gone = Timeline(interval), 0
    for at, item in enumerate(items):
        gone += len(timeline.push(item))
        so_far = by_known_time(items[: at + 1], interval)
        due = [one for one in so_far if (one.end(interval) if isinstance(one, Bar) else stamp(one)) < stamp(item)]  # type: ignore[operator]
        assert gone == len(due)
    assert len(timeline.flush()) == len(items) - gone
    assert timeline.flush() == []


@given(sources, st.lists(st.tuples(st.integers(0, 40), bad_rows), max_size=5), intervals)
def test_a_bad_row_is_released_at_once_and_moves_nothing_else(
    items: list[Item], bad: list[tuple[int, BadRow]], interval: timedelta
) -> None:
    mixed: list[Item] = list(items)
    for at, row in bad:
        mixed.insert(at, row)
    timeline = Timeline(interval)
    for item in mixed:
        ready = timeline.push(item)
        assert (ready == [item]) if isinstance(item, BadRow) else not [one for one in ready if isinstance(one, BadRow)]
    found = list(in_order(mixed, interval))
    assert [one for one in found if not isinstance(one, BadRow)] == by_known_time(items, interval)


def test_a_headline_of_the_time_at_which_a_bar_is_known_comes_before_it() -> None:
    first, news = bar(0), headline(2)
    assert list(in_order([first, news], MINUTE)) == [news, first]


def test_a_headline_within_a_bar_comes_before_it_and_one_after_it_behind() -> None:
    one, within, behind = bar(0), headline(1), headline(3)
    assert list(in_order([one, within, behind], MINUTE)) == [within, one, behind]


def test_a_reading_of_the_volatility_index_comes_at_its_own_time() -> None:
    one, vix = bar(0), Vix(OPENING + MINUTE, Decimal(15))
    assert list(in_order([one, vix, bar(2)], MINUTE)) == [vix, one, bar(2)]


def test_a_bar_is_held_back_until_a_stamp_behind_its_end() -> None:
    timeline = Timeline(MINUTE)
    assert [timeline.push(item) for item in (bar(0), headline(1), bar(1))] == [[], [], [headline(1)]]
    assert timeline.push(headline(3)) == [bar(0)]


def test_bars_that_are_known_at_one_time_stay_in_their_order() -> None:
    rows: list[Item] = [bar(0, symbol=symbol) for symbol in "CABED"]
    assert list(in_order(rows, MINUTE)) == rows


@given(st.lists(bars | bad_rows, max_size=25), st.lists(headlines | bad_rows, max_size=25), intervals)
def test_files_put_together_give_what_their_lines_give_when_they_are_piped(
    rows: list[Bar | BadRow], news: list[Headline | BadRow], interval: timedelta
) -> None:
    in_time = iter(sorted((row for row in rows if isinstance(row, Bar)), key=stamp))  # type: ignore[arg-type]
    rows = [row if isinstance(row, BadRow) else next(in_time) for row in rows]
    items: list[Item] = [item for item in (*news, *rows) if not isinstance(item, BadRow)]
    piped = list(in_order(sorted(items, key=stamp), interval))  # type: ignore[arg-type]
    merged = list(in_order(by_stamp(rows, news), interval))
    assert [item for item in merged if not isinstance(item, BadRow)] == piped
    bad = [item for item in (*rows, *news) if isinstance(item, BadRow)]
    assert sorted(item for item in merged if isinstance(item, BadRow)) == sorted(bad)


@given(st.lists(bars, max_size=25), st.lists(headlines, max_size=25))
def test_putting_together_loses_and_doubles_nothing_even_where_bars_are_not_sorted(
    rows: list[Bar], news: list[Headline]
) -> None:
    merged = list(by_stamp(rows, news))
    assert [item for item in merged if isinstance(item, Bar)] == rows
    assert [item for item in merged if isinstance(item, Headline)] == sorted(news, key=lambda one: one.at)


@given(sources, st.lists(st.tuples(st.integers(0, 40), bad_rows), max_size=5))
def test_moments_are_the_items_in_their_order_and_together_only_what_belongs_together(
    items: list[Item], bad: list[tuple[int, BadRow]]
) -> None:
    for at, row in bad:
        items.insert(at, row)
    found = list(moments(items))
    assert [item for moment in found for item in moment] == items
    for moment in found:
        assert len(moment) == 1 or _together(moment)
    for one, other in pairwise(found):
        assert not _together([*one, other[0]])


def _together(moment: list[Item]) -> bool:
    rows = [item for item in moment if isinstance(item, Bar)]
    symbols = {item.symbol for item in rows}
    return len(symbols) == len(moment) and len({item.start for item in rows}) == 1


@pytest.mark.parametrize(
    ("items", "sizes"),
    [
        ([bar(0, symbol="A"), bar(0, symbol="B"), bar(1, symbol="A")], [2, 1]),
        ([bar(0, symbol="A"), bar(0, symbol="A")], [1, 1]),
        ([bar(0, symbol="A"), headline(0), bar(0, symbol="B")], [1, 1, 1]),
        ([headline(0), headline(0, "Down")], [1, 1]),
        ([], []),
    ],
)
def test_bars_of_one_start_and_different_symbols_are_one_moment(items: list[Item], sizes: list[int]) -> None:
    assert [len(moment) for moment in moments(items)] == sizes
