from typing import Any

import pytest

from llmctx import canonical
from llmctx.context.snapshot import Snapshot
from llmctx.errors import ReplayError
from llmctx.llm.mode import Mode
from llmctx.llm.profile import profile_of
from llmctx.llm.request import plan_request
from llmctx.prompt.template import Parameters
from llmctx.replay.answer import Answer
from llmctx.replay.corpus import BlobCache, Recorded
from llmctx.replay.plan import Plan, ReplayRequest, build_request, position_of
from tests.unit.makers import completion, prompt_of, template_of

from .cases import blobs, case
from .test_rerun import with_form

OTHER = template_of("{{ field('price.price.last') }}", ref="position/v2")


def request(entry: Recorded | None = None, plan: Plan | None = None) -> ReplayRequest:
    return build_request(entry or case(), plan or Plan(), blobs())


def answer(entry: Recorded | None = None) -> Answer:
    """Return the answer of the usual completion."""
    asked = request(entry)
    return asked.answer(asked.conclude(completion()))


def test_asking_again_sends_the_recorded_messages_byte_for_byte() -> None:
    asked = request()
    assert asked.prompt is not None
    assert asked.prompt.evidence == case().pieces["messages"]
    assert asked.model == "asked-model"
    assert asked.prompt.parameters.max_completion_tokens == 1200


def test_another_prompt_is_rendered_with_the_recorded_data() -> None:
    asked = request(case(price="149.25"), Plan(OTHER))
    assert asked.prompt is not None
    assert [message.content for message in asked.prompt.messages] == ["You decide.", "149.25"]
    assert asked.model == "asked-model"


def test_another_model_gets_the_recorded_messages() -> None:
    asked = request(plan=Plan(model="other"))
    assert asked.prompt is not None
    assert (asked.model, asked.prompt.evidence) == ("other", case().pieces["messages"])


@pytest.mark.parametrize(
    ("plan", "mode"),
    [(Plan(), "again"), (Plan(OTHER), "prompt"), (Plan(model="b"), "model"), (Plan(OTHER, "b"), "prompt and model")],
)
def test_the_mode_names_what_changes(plan: Plan, mode: str) -> None:
    assert plan.mode == mode


def test_an_unusable_position_is_not_asked_about_and_gives_a_reason() -> None:
    entry = case()
    snapshot = Snapshot.from_evidence(entry.pieces["snapshot"])
    missing = snapshot.sections | {"price": snapshot.sections["price"]._replace(raw=None)}
    piece = snapshot.model_copy(update={"sections": missing}).evidence()
    odd = Recorded(entry.leaf, entry.pieces | {"snapshot": piece}, index=0)
    asked = request(odd, Plan(OTHER))
    assert asked.prompt is None
    found = asked.answer(asked.conclude(None))
    assert (found.kind, found.action) == ("skipped", "hold")
    assert "no such key" in found.verdict["reason"]
    assert position_of(asked.package) == ("0", "0")


def test_a_template_that_uses_missing_data_is_not_asked_and_gives_a_reason() -> None:
    asked = request(plan=Plan(template_of("{{ field('thesis.action') }}")))
    assert asked.prompt is None
    assert "thesis.action" in asked.reason


def test_a_record_with_a_missing_template_cannot_be_asked_again() -> None:
    with pytest.raises(ReplayError, match=r"Record 0 cannot be asked again: the blob .* is missing"):
        build_request(case(), Plan(), BlobCache())


def test_the_guardrails_are_set_as_for_the_record() -> None:
    entry = case()
    verdict = entry.record["verdict"] | {"policy": {"confidence_floor": "0.95"}}
    strict = Recorded(canonical.dumps(entry.record | {"verdict": verdict}), entry.pieces, index=0)
    assert answer().verdict["policy"] == {"confidence_floor": "0.5", "grounding": "flag", "unconfirmed_stop": "hold"}
    assert answer(strict).verdict["policy"] == {"confidence_floor": "0.95"}


def test_the_snapshot_is_named_by_the_digest_of_its_evidence() -> None:
    assert answer().snapshot == canonical.sha256(case().pieces["snapshot"])


@pytest.mark.parametrize("older", [None, {"evidence": 1, "numbers": 4, "unsupported": []}])
def test_an_answer_without_a_grounding_by_citation_is_checked(older: dict[str, Any] | None) -> None:
    asked = request(case(1))
    grounding = asked.grounded(answer(case(1))._replace(grounding=older)).grounding
    assert grounding is not None
    assert (grounding["evidence"], grounding["uncited"], "numbers" in grounding) == (1, 0, False)
    assert asked.grounded(answer()._replace(grounding=grounding)).grounding is grounding


def test_what_was_asked_with_a_form_is_asked_again_by_whoever_adds_its_own() -> None:
    entry, kept = with_form(Mode.PROMPTED)
    recorded = Recorded.of(entry, "llmctx/0123456789abcdef")
    asked = build_request(recorded, Plan(model="m"), BlobCache(kept))
    assert asked.prompt is not None
    plan = plan_request("http://m/", "m", profile_of("http://m/", "m", "prompted"), Parameters(), asked.output)
    assert plan.messages(asked.prompt) == entry.pieces["messages"]
    assert asked.prompt.evidence == prompt_of().evidence


def test_a_form_of_another_version_is_sent_as_it_was() -> None:
    entry, kept = with_form(Mode.JSON_OBJECT)
    other = canonical.loads(kept[entry.record["request"]["schema_sha256"]])
    text = other["form"]
    blob = canonical.dumps(other | {"form": "Answer in JSON as before."})
    messages = canonical.loads(entry.pieces["messages"])
    messages[0]["content"] = messages[0]["content"].replace(text, "Answer in JSON as before.")
    leaf = dict(entry.record)
    leaf["request"] = leaf["request"] | {"schema_sha256": canonical.sha256(blob)}
    piece = canonical.dumps(messages)
    recorded = Recorded(canonical.dumps(leaf), entry.pieces | {"messages": piece}, index=0)
    asked = build_request(recorded, Plan(), BlobCache(kept | {canonical.sha256(blob): blob}))
    assert asked.prompt is not None
    for mode in ("schema", "prompted"):
        profile = profile_of("http://m/", "m", mode)
        plan = plan_request("http://m/", "m", profile, Parameters(), asked.output)
        assert plan.messages(asked.prompt) == piece
