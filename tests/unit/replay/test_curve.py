from decimal import Decimal

from llmctx.replay.curve import Curve

ZERO = Decimal(0)


def curve(*equity: int) -> Curve:
    made = Curve()
    for at, value in enumerate(equity):
        made.mark(at, Decimal(value), Decimal(value) / 4)
    return made


def test_the_drawdown_is_the_deepest_fall_from_an_earlier_height() -> None:
    assert curve(100, 120, 90, 130, 110).drawdown == (Decimal(30), Decimal("0.25"))


def test_a_book_that_only_rises_has_no_drawdown() -> None:
    assert curve(100, 101, 102).drawdown == (ZERO, ZERO)


def test_of_one_time_the_last_mark_counts() -> None:
    made = curve(100)
    made.mark(0, Decimal(90), Decimal(45))
    assert [point.equity for point in made.points] == [90]
    assert made.exposure == (Decimal("0.5"), Decimal("0.5"))


def test_an_empty_book_has_nothing_to_tell() -> None:
    assert (Curve().drawdown, Curve().exposure) == ((ZERO, ZERO), (ZERO, ZERO))
