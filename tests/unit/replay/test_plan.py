from typing import Any

import pytest

from llmctx import canonical
from llmctx.context.snapshot import Snapshot
from llmctx.errors import ReplayError
from llmctx.replay.corpus import Recorded
from llmctx.replay.plan import Plan, draft
from llmctx.replay.rerun import Templates
from tests.unit.makers import completion, template_of

from .cases import blobs, case

OTHER = template_of("{{ field('price.price.last') }}", ref="position/v2")
TEMPLATES = Templates(blobs())


def test_the_same_question_is_the_recorded_messages_byte_for_byte() -> None:
    asked = draft(case(), Plan(), TEMPLATES, blobs())
    assert asked.prompt is not None
    assert asked.prompt.evidence == case().pieces["messages"]
    assert asked.model == "asked-model"
    assert asked.prompt.parameters.max_completion_tokens == 1200


def test_another_prompt_is_rendered_of_the_recorded_data() -> None:
    asked = draft(case(price="149.25"), Plan(OTHER), TEMPLATES, blobs())
    assert asked.prompt is not None
    assert [message.content for message in asked.prompt.messages] == ["You decide.", "149.25"]
    assert asked.model == "asked-model"


def test_another_model_is_asked_the_recorded_messages() -> None:
    asked = draft(case(), Plan(model="other"), TEMPLATES, blobs())
    assert asked.prompt is not None
    assert (asked.model, asked.prompt.evidence) == ("other", case().pieces["messages"])


@pytest.mark.parametrize(
    ("plan", "mode"),
    [
        (Plan(), "again"), (Plan(OTHER), "prompt"), (Plan(model="b"), "model"),
        (Plan(OTHER, "b"), "prompt and model"),
    ],
)  # fmt: skip
def test_the_mode_says_what_is_changed(plan: Plan, mode: str) -> None:
    assert plan.mode == mode


def test_a_position_that_cannot_be_decided_on_asks_nobody_and_says_why() -> None:
    entry = case()
    snapshot = Snapshot.from_evidence(entry.pieces["snapshot"])
    missing = snapshot.sections | {"price": snapshot.sections["price"]._replace(raw=None)}
    piece = snapshot.model_copy(update={"sections": missing}).evidence()
    odd = Recorded(entry.leaf, entry.pieces | {"snapshot": piece}, index=0)
    asked = draft(odd, Plan(OTHER), TEMPLATES, blobs())
    assert asked.prompt is None
    side = asked.side(None)
    assert (side.kind, side.action) == ("skipped", "none")
    assert "no such key" in side.verdict["reason"]
    assert asked.position == ("0", "0")


def test_a_template_that_asks_for_what_is_not_there_asks_nobody_and_says_why() -> None:
    asked = draft(case(), Plan(template_of("{{ field('thesis.action') }}")), TEMPLATES, blobs())
    assert asked.prompt is None
    assert "thesis.action" in asked.reason


def test_a_record_whose_template_is_gone_cannot_be_asked_again() -> None:
    with pytest.raises(ReplayError, match=r"Record 0 cannot be asked again: the blob .* is missing"):
        draft(case(), Plan(), Templates({}), {})


def test_the_guardrails_are_set_as_they_were_when_the_record_was_made() -> None:
    entry = case()
    verdict = entry.record["verdict"] | {"policy": {"confidence_floor": "0.95"}}
    strict = Recorded(canonical.dumps(entry.record | {"verdict": verdict}), entry.pieces, index=0)
    asked = draft(strict, Plan(), TEMPLATES, blobs())
    side = draft(case(), Plan(), TEMPLATES, blobs()).side(completion())
    assert side.verdict["policy"] == {"confidence_floor": "0.5", "grounding": "flag"}
    assert asked.side(completion()).verdict["policy"] == {"confidence_floor": "0.95"}


def test_what_was_known_is_told_by_the_digest_of_the_evidence_itself() -> None:
    side = draft(case(), Plan(), TEMPLATES, blobs()).side(completion())
    assert side.snapshot == canonical.sha256(case().pieces["snapshot"])


@pytest.mark.parametrize("older", [None, {"evidence": 1, "numbers": 4, "unsupported": []}])
def test_what_older_rules_or_nobody_grounded_is_grounded_by_citation(older: dict[str, Any] | None) -> None:
    asked = draft(case(1), Plan(), TEMPLATES, blobs())
    side = asked.side(completion())._replace(grounding=older)
    grounding = asked.grounded(side).grounding
    assert grounding is not None
    assert (grounding["evidence"], grounding["uncited"], "numbers" in grounding) == (1, 0, False)
    assert asked.grounded(side._replace(grounding=grounding)).grounding is grounding
