from decimal import Decimal

import pytest

from llmctx.replay.answer import Answer, recorded_answer

from .cases import case

HOLD = recorded_answer(case())


def test_an_answer_survives_the_round_trip_through_json_values() -> None:
    failed = HOLD._replace(kind="failed", decision=None, text=None, messages=())
    assert [Answer.of_dict(answer.as_dict()) for answer in (HOLD, failed)] == [HOLD, failed]


def test_json_keeps_the_field_names_of_existing_files() -> None:
    document = HOLD.as_dict()
    assert (document["asked"], document["answer"]) == ("asked-model", HOLD.text)
    assert not document.keys() & {"requested", "text"}


def test_if_nothing_was_asked_the_position_stays_as_after_a_hold() -> None:
    skipped = HOLD._replace(kind="skipped", decision=None, verdict={"action": "none", "reason": "no price"})
    assert (skipped.label, skipped.effective_action, skipped.confidence) == ("not asked", "hold", None)


@pytest.mark.parametrize(
    ("verdict", "change"),
    [
        ({"action": "exit"}, "-1"),
        ({"action": "reduce", "quantity": "4"}, "-0.4"),
        ({"action": "hold"}, "0"),
        ({"action": "adjust_stops"}, "0.05"),
        ({"action": "add", "quantity": "5"}, "0.5"),
        ({"action": "add", "quantity": "50"}, "1"),
    ],
)
def test_exposure_changes_by_a_share_of_the_position(verdict: dict[str, str], change: str) -> None:
    assert HOLD._replace(verdict=verdict).exposure_change(Decimal(10)) == Decimal(change)
