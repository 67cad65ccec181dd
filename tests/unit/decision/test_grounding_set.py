"""The labelled reasonings: the figures that the README states hold, on the half that nobody tuned on too."""

import pytest

from benchmarks.derived import derived
from benchmarks.grounding import measure, score, together
from benchmarks.reasonings import ASSETS, FILLINGS, HALVES, HELD_OUT, packages, reasonings


@pytest.mark.parametrize(
    ("half", "precision", "recall"),
    [("tuned", 0.99, 0.96), ("held_out", 0.99, 0.95), ("foreign_a", 0.98, 0.96), ("foreign_b", 0.92, 0.94)],
)
def test_planted_false_numbers_are_found_and_true_ones_are_not_called_false(
    half: str, precision: float, recall: float
) -> None:
    got = score(reasonings(half))
    assert got.texts >= 180
    assert got.planted >= 100
    assert got.precision >= precision
    assert got.recall >= recall


def test_what_is_published_is_over_all_texts_that_nobody_looked_at() -> None:
    scores = [score(reasonings(half)) for half in HELD_OUT]
    told, every = measure(), together(scores)
    assert set(HELD_OUT) == {"foreign_b", "held_out"}
    assert told["grounding_precision"] == f"{every.precision:.3f} share"
    assert told["grounding_recall"] == f"{every.recall:.3f} share"


def test_it_holds_for_other_fillings_of_the_same_texts() -> None:
    got = [score(reasonings("held_out", seed=seed)) for seed in (1, 2, 3)]
    assert min(one.precision for one in got) >= 0.95
    assert min(one.recall for one in got) >= 0.9


def test_the_packages_are_those_of_a_session() -> None:
    assert len({package.symbol for package in packages()}) >= 6
    assert {package.position.side for package in packages()} == {"long", "short"}


@pytest.mark.parametrize("half", HALVES)
def test_every_text_of_a_set_has_packages_that_fill_it(half: str) -> None:
    texts = (ASSETS / f"{half}.txt").read_text(encoding="utf-8").split("%%\n")
    made = list(reasonings(half))
    assert len(made) >= len(texts) * FILLINGS * 0.95
    assert all(one.true or one.planted for one in made)
    assert sum(bool(one.planted) for one in made) * 2 == len(made)


def test_derived_figures_are_those_that_one_works_out_by_hand() -> None:
    slots = {
        "last": 102.0, "entry": 100.0, "stop": 98.0, "target": 108.0, "qty": 11.0, "half": 5.0, "high": 104.0,
        "low": 99.0, "up": 105.0, "lo": 95.0, "sigprice": 100.5, "level": 103.0, "avgw": 50.0, "avgl": -25.0,
        "adv": 3.0, "dec": 5.0, "tech": 0.5, "energy": -0.4,
    }  # fmt: skip
    got = derived({"monitoring": {"time_in_trade": "01:30:00"}}, slots)
    assert (got["r_now"], got["r_stop_left"], got["r_target_left"], got["lvl_1r"]) == (1, 2, 3, 102)
    assert (got["mid_st"], got["mid_el"], got["mid_hl"], got["bbmid"]) == (103, 101, 101.5, 100)
    assert (got["progress"], got["rangepos"], got["pctb"], got["p_width"]) == (25, 60, 70, 10)
    assert (got["cost"], got["half_worth"], got["rest"], got["money_target"], got["gain_target"]) == (
        1100, 510, 6, 66, 88,
    )  # fmt: skip
    assert (got["payoff"], got["netadv"], got["mins"], got["hours"]) == (2, -2, 90, 1.5)
    assert got["d_sectors"] == pytest.approx(0.9)
