from datetime import timedelta

from llmctx.flow.bars import BadRow, Bar
from llmctx.flow.pipe import FormingBars
from llmctx.flow.timeline import Item
from tests.unit.flow.makers import MINUTE, OPENING, bar


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = OPENING

    def __call__(self) -> object:
        return self.now


def at(clock: Clock, seconds: int) -> None:
    clock.now = OPENING + timedelta(seconds=seconds)


def volumes(items: list[Item]) -> list[int]:
    return [int(item.volume) for item in items if isinstance(item, Bar)]


def made() -> tuple[Clock, FormingBars]:
    clock = Clock()
    return clock, FormingBars(MINUTE, clock)  # type: ignore[arg-type]


def test_only_the_newest_version_is_passed_on_and_only_once_its_end_has_passed() -> None:
    clock, forming = made()
    for seconds, volume in ((5, 5), (30, 60), (59, 200)):
        at(clock, seconds)
        assert forming.add(bar(0, volume=str(volume))) == []
        assert forming.due() == []
    at(clock, 60)
    assert volumes(forming.due()) == [200]
    assert (forming.due(), forming.unfinished) == ([], [])


def test_a_version_that_comes_at_the_end_replaces_those_before() -> None:
    clock, forming = made()
    forming.add(bar(0, volume="5"))
    at(clock, 61)
    assert volumes(forming.add(bar(0, volume="9"))) == [9]
    assert forming.due() == []


def test_a_bar_that_says_it_is_complete_is_passed_on_at_once() -> None:
    _, forming = made()
    forming.add(bar(0, volume="5"))
    assert volumes(forming.add(bar(0, volume="7"), complete=True)) == [7]
    assert forming.unfinished == []


def test_bars_that_are_due_come_before_what_arrives_and_the_oldest_first() -> None:
    clock, forming = made()
    forming.add(bar(1, volume="2"))
    forming.add(bar(0, volume="1"))
    at(clock, 120)
    row = BadRow(1, "no bar")
    assert volumes(forming.add(row)) == [1, 2]
    assert forming.add(row) == [row]


def test_what_is_still_forming_at_the_end_is_told() -> None:
    _, forming = made()
    forming.add(bar(0, volume="1"))
    assert [one.symbol for one in forming.unfinished] == [bar(0).symbol]
