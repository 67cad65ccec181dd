"""The labelled reasonings: the figures that the README states hold, on the half that nobody tuned on too."""

import pytest

from benchmarks.grounding import score
from benchmarks.reasonings import packages, reasonings


@pytest.mark.parametrize("half", ["tuned", "held_out"])
def test_planted_false_numbers_are_found_and_true_ones_are_not_called_false(half: str) -> None:
    got = score(reasonings(half))
    assert got.texts >= 180
    assert got.planted >= 100
    assert got.precision >= 0.95
    assert got.recall >= 0.93


def test_it_holds_for_other_fillings_of_the_same_texts() -> None:
    got = [score(reasonings("held_out", seed=seed)) for seed in (1, 2, 3)]
    assert min(one.precision for one in got) >= 0.95
    assert min(one.recall for one in got) >= 0.9


def test_the_packages_are_those_of_a_session() -> None:
    assert len({package.symbol for package in packages()}) >= 6
    assert {package.position.side for package in packages()} == {"long", "short"}
