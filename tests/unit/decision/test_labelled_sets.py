"""The labelled sets: the figures that the documents state hold, a floor a rule."""

import pytest

from benchmarks.cited import cited_answers
from benchmarks.grounding import score, together
from benchmarks.grounding_cited import score_one
from benchmarks.grounding_cited import together as cited_together
from benchmarks.reasonings import HELD_OUT, reasonings


def test_uncited_prices_of_texts_that_nobody_tuned_on_are_judged_rightly() -> None:
    got = together([score(reasonings(half)) for half in HELD_OUT])
    assert got.texts >= 650
    assert got.planted >= 150
    assert got.precision >= 0.98
    assert got.recall >= 0.94


@pytest.mark.parametrize("half", ["tuned", "foreign_a"])
def test_so_are_those_of_the_other_sets(half: str) -> None:
    got = score(reasonings(half))
    assert got.precision >= 0.98
    assert got.recall >= 0.94


def test_prices_of_the_last_decision_that_are_not_cited_are_all_that_is_called_false_of_foreign_c() -> None:
    got = score(reasonings("foreign_c"))
    assert got.recall >= 0.94
    assert got.precision >= 0.8  # 16 of 21 are prices of the thesis, which supports only what cites it


def test_every_fault_of_the_cited_answers_is_found_and_nothing_true_is_called_false() -> None:
    got = cited_together(map(score_one, cited_answers()))
    assert got.answers >= 400
    assert (got.planted - got.found, got.alarms, got.unseen) == (0, 0, 0), "\n".join(got.mistakes)
