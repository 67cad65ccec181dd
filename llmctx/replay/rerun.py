"""Rebuild a record from its evidence: snapshot to package to prompt, byte for byte, then answer to decision to verdict.

Every part is tried, whatever rules made the record; a part that comes out as recorded is proven. What a difference
means depends on the rules (llmctx/rules.py): under the same rules the record was altered, under others it is not
reproducible. Some things depend on no rules and must always hold: the symbol and time of the snapshot, the template's
digest, and that the decision agrees with the model's answer.

Nothing here asks a model or a server; templates come from the trail's blobs, never from files.
"""

from collections.abc import Callable
from functools import cached_property

from llmctx import canonical
from llmctx.context.package import Package, build_package
from llmctx.context.snapshot import Snapshot
from llmctx.decision.conclude import Conclusion, conclude
from llmctx.decision.decision import Action
from llmctx.decision.guards import JUDGING_FAILED, guard
from llmctx.decision.halt import HALTED, halt_in
from llmctx.decision.last_resort import compare_plainly
from llmctx.decision.parse import judge, misfit_of
from llmctx.decision.reask import ask_again
from llmctx.decision.reservation import refusal_in, refuse_add
from llmctx.decision.verdict import GuardPolicy, refused
from llmctx.errors import TemplateError
from llmctx.leaf_fields import (
    approved_of,
    decision_fields,
    grounding_fields,
    mapped_position_fields,
    policy_of,
    sections_fields,
    verdict_fields,
    wrong_fields,
)
from llmctx.llm.completion import Completion, Outcome, read_completion
from llmctx.prompt.form import add_form
from llmctx.prompt.render import Prompt, render
from llmctx.replay.answer import messages_of
from llmctx.replay.corpus import BlobCache
from llmctx.replay.difference import (
    CODE,
    DATA,
    MODEL,
    TEMPLATE,
    Difference,
    DiffersError,
    Rebuild,
    cause_of_prompt,
    contradiction,
    expect,
    mismatch_of_lines,
)
from llmctx.rules import Rules, compare
from llmctx.trail.log.entry import Entry

_READ_FROM_BODY = {Outcome.ANSWERED, Outcome.REFUSED, Outcome.TRUNCATED, Outcome.FILTERED, Outcome.UNREADABLE}
_UNUSABLE = (ValueError, KeyError, TypeError, AttributeError, ArithmeticError, AssertionError, IndexError)


def rebuild(entry: Entry, blobs: BlobCache) -> Rebuild:
    """Rebuild a record part by part. A record without a snapshot has nothing to rebuild."""
    record = entry.record
    rules = compare(record.get("code", ""))
    if (problem := entry.unreadable) is not None:
        return Rebuild(rules, differences=(Difference("record", "record-form", problem.why, DATA, tampered=True),))
    if "snapshot" not in record:
        if record["kind"] not in ("decision", "failed"):
            return Rebuild(rules)
        what = f"a {record['kind']} without a snapshot"
        return Rebuild(rules, differences=(Difference("snapshot", "record-rebuilt", what, DATA, tampered=True),))
    proven, differences = [], []
    for part, check in _Attempt(entry, blobs, rules).parts():
        difference = _difference(part, check, rules)
        if difference is None:
            proven.append(part)
            continue
        differences.append(difference)
        if part == "snapshot":
            break  # all other parts depend on it
    return Rebuild(rules, tuple(proven), tuple(differences))


def _difference(part: str, check: Callable[[], None], rules: Rules) -> Difference | None:
    try:
        check()
    except DiffersError as error:
        rule, what, by, tampered = error.rule, str(error), error.by, error.always_holds or rules is Rules.SAME
    except _UNUSABLE as error:
        rule, what, by = "record-rebuilt", f"it cannot be rebuilt: {type(error).__name__}: {error}", DATA
        tampered = rules is Rules.SAME
    else:
        return None
    return Difference(part, rule, what, by if tampered else CODE, tampered)


class _Attempt:
    """The rebuild of one record that has a snapshot."""

    def __init__(self, entry: Entry, blobs: BlobCache, rules: Rules) -> None:
        self._entry = entry
        self._rules = rules
        self._record = entry.record
        self._blobs = blobs

    def parts(self) -> list[tuple[str, Callable[[], None]]]:
        """Return the parts of the record, each with a check that raises if it differs."""
        if self._judging_failed and not self._record["snapshot"]["sections"]:  # building the package itself failed
            return [("snapshot", self._check_snapshot), ("verdict", self._check_plain_verdict)]
        parts = [("snapshot", self._check_snapshot), ("sections", self._check_sections)]
        if "prompt" in self._record:
            parts.append(("prompt", self._check_prompt))
        if "reasked" in self._record:
            parts.append(("reasked", self._check_reasked))
        if "completion" in self._record:
            parts += [("decision", self._check_decision), ("grounding", self._check_grounding)]
        return [*parts, ("verdict", self._check_approval if "approved" in self._record else self._check_verdict)]

    @cached_property
    def _snapshot(self) -> Snapshot:
        return Snapshot.from_evidence(self._entry.pieces["snapshot"], self._blobs)

    @cached_property
    def _package(self) -> Package:
        return build_package(self._snapshot)

    @cached_property
    def _policy(self) -> GuardPolicy:
        return policy_of(self._record, self._blobs.mandate(self._record))

    @cached_property
    def _prompt(self) -> Prompt:
        digest = self._record["prompt"]["template_sha256"]
        try:
            template = self._blobs.template(digest)
        except TemplateError as error:
            changed = not self._blobs.matches(digest)
            raise DiffersError("prompt-rebuilt", error.what, TEMPLATE, always_holds=changed) from error
        try:
            prompt = render(template, self._package)
        except TemplateError as error:
            what = f"the prompt cannot be rendered again: {error.what}"
            raise DiffersError("prompt-rebuilt", what, DATA) from error
        return add_form(prompt, self._blobs.form(self._record.get("request", {}).get("schema_sha256")))

    @cached_property
    def _completion(self) -> Completion:
        """The completion that the evidence yields; calls without a usable body are taken from the leaf, and so is a
        response that was too large to be kept.
        """
        recorded = self._record["completion"]
        if recorded["outcome"] not in _READ_FROM_BODY or "sha256" not in recorded:
            return Completion(outcome=recorded["outcome"], detail=recorded["detail"], request={})
        completion = read_completion(self._entry.pieces["completion"], {}, ())
        expected = {
            "outcome": completion.outcome.value,
            "model": completion.model,
            "answer_from": list(completion.answer_from) or None,
        }
        expect("completion", expected, recorded, MODEL)
        return completion

    @cached_property
    def _conclusion(self) -> Conclusion:
        return self._conclude(self._completion)

    @property
    def _judging_failed(self) -> bool:
        """Whether judging failed when the record was made: an error of that moment need not occur again."""
        return any(guard["name"] == JUDGING_FAILED for guard in self._record["verdict"].get("guards", ()))

    def _conclude(self, completion: Completion) -> Conclusion:
        return conclude(self._snapshot, self._package, None, completion, self._policy)

    def _check_snapshot(self) -> None:
        expected = {"symbol": self._snapshot.symbol, "as_of_ms": self._snapshot.as_of_ms}
        expect("snapshot", expected, self._record, always_holds=True)

    def _check_sections(self) -> None:
        fields = {"sections": sections_fields(self._package)}
        if self._snapshot.rules.sections is not None:
            fields |= mapped_position_fields(self._package)
        expect("snapshot", fields, self._record["snapshot"])
        thesis, source = self._snapshot.sections["thesis"].raw, self._snapshot.thesis
        if self._rules is Rules.SAME and (thesis is None) is not (source is None):
            raise DiffersError("thesis", "a thesis and the record that it comes from go together", DATA)

    def _check_prompt(self) -> None:
        prompt, messages = self._prompt, self._entry.pieces["messages"]
        if "reasked" in self._record:  # the second question starts with the messages of the first
            messages = canonical.dumps(canonical.loads(messages)[: len(prompt.messages)])
        self._expect_messages(prompt, messages)
        names = {"template": prompt.template, "version": prompt.version}
        expect("prompt", names, self._record["prompt"], TEMPLATE)

    def _check_reasked(self) -> None:
        """Check the second question: its messages hold the first answer, then what was wrong with it."""
        messages = canonical.loads(self._entry.pieces["messages"])
        answer = str(messages[len(self._prompt.messages)]["content"])
        completion = Completion(outcome=Outcome.ANSWERED, content=answer, request={})
        verdict = self._conclude(completion).verdict
        wrong = verdict.grounding if verdict.asks_again else misfit_of(completion)
        if wrong is None:
            raise DiffersError("record-rebuilt", "reasked: nothing is wrong with the first answer", MODEL)
        expect("reasked", {"misfit": None, "grounding": None} | wrong_fields(wrong), self._record["reasked"])
        self._expect_messages(ask_again(self._prompt, answer, wrong), self._entry.pieces["messages"])

    def _expect_messages(self, prompt: Prompt, messages: bytes) -> None:
        if prompt.evidence == messages:
            return
        sent = "\n".join(text for _, text in messages_of(self._entry))
        rendered = "\n".join(message.content for message in prompt.messages)
        what = f"the messages differ from those sent: {mismatch_of_lines(sent, rendered)}"
        raise DiffersError("prompt-rebuilt", what, cause_of_prompt(sent, rendered))

    def _check_decision(self) -> None:
        if self._judging_failed and "decision" not in self._record:
            return
        decision, _ = judge(self._completion)  # not by `conclude`: this part needs neither package nor policy
        expected = None if decision is None else decision_fields(decision)
        if self._record.get("decision") != expected and (what := contradiction(self._entry)):
            raise DiffersError("record-rebuilt", what, MODEL, always_holds=True)
        expect("", {"decision": expected, "kind": "failed" if decision is None else "decision"}, self._record, MODEL)

    def _check_grounding(self) -> None:
        if self._judging_failed and "grounding" not in self._record:
            return
        grounding = self._conclusion.verdict.grounding
        expected = None if grounding is None else grounding_fields(grounding)
        expect("", {"grounding": expected}, self._record)

    def _check_verdict(self) -> None:
        recorded = self._record["verdict"]
        if self._package.refusal is not None:
            # Versions before 0.2.0 held no position whose stop they could not judge.
            is_older = self._rules is not Rules.SAME and recorded["action"] == "none"
            expected = verdict_fields(refused(self._package.refusal, None if is_older else self._package))
            if self._record["kind"] == "dead_letter":
                expected = {"action": expected["action"]}
            expect("verdict", expected, recorded)
        elif self._judging_failed:  # what is held instead depends on the position alone
            held = verdict_fields(guard(self._package, None, self._policy))
            if recorded["action"] != held["action"]:  # the stop's own guardrail may be what failed
                self._check_plain_verdict()
            else:
                expect("verdict", {"quantity": held.get("quantity")}, recorded)
        elif "completion" in self._record:
            verdict = self._conclusion.verdict
            if verdict.action == Action.ADD and (why := refusal_in(recorded.get("guards", []))) is not None:
                verdict = refuse_add(verdict, why)
            expect("", {"verdict": verdict_fields(verdict)}, self._record)
        elif "policy" in recorded:  # nothing was asked, and the first guardrail repeats why
            fired, why = recorded["guards"][0]["name"], recorded["guards"][0]["detail"]
            if fired == HALTED and halt_in(self._package, self._policy.mandate) != why:
                raise DiffersError("record-rebuilt", f"verdict: nothing in the package says: {why}", DATA)
            verdict = guard(self._package, None, self._policy, why, fired=fired)
            expect("", {"verdict": verdict_fields(verdict)}, self._record)
        # In records of 0.1.0 a template refused without a policy, and the verdict repeats its reason.

    def _check_approval(self) -> None:
        recorded = self._record["verdict"]
        verdict = approved_of(self._record).judge(
            self._package, self._policy if "policy" in recorded else GuardPolicy()
        )
        if verdict.action == Action.ADD and (why := refusal_in(recorded.get("guards", []))) is not None:
            verdict = refuse_add(verdict, why)
        expect("", {"verdict": verdict_fields(verdict) | {"reason": recorded["reason"]}}, self._record)

    def _check_plain_verdict(self) -> None:
        recorded = self._record["verdict"]
        plain = verdict_fields(compare_plainly(self._snapshot, "", GuardPolicy()))
        expect("verdict", {"action": plain["action"], "quantity": plain.get("quantity")}, recorded)
