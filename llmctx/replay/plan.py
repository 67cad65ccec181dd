"""The plan of a replay, and the request that it makes of one recorded decision."""

from typing import Any, NamedTuple

from llmctx import canonical
from llmctx.context.package import Package, build_package
from llmctx.context.snapshot import Snapshot
from llmctx.decision.conclude import Conclusion, conclude, conclude_unasked, refuse
from llmctx.decision.decision import OUTPUT
from llmctx.decision.guards import NO_ANSWER
from llmctx.decision.halt import HALTED, halt_in
from llmctx.decision.mandate.mandate import Mandate
from llmctx.decision.verdict import GuardPolicy
from llmctx.errors import ReplayError, TemplateError
from llmctx.leaf_fields import grounding_fields, policy_of
from llmctx.llm.completion import Completion, Outcome
from llmctx.llm.output import OutputSchema
from llmctx.prompt.form import remove_form
from llmctx.prompt.render import Message, Prompt, render
from llmctx.prompt.template import Template
from llmctx.replay.answer import Answer, answer_of
from llmctx.replay.corpus import BlobCache, Recorded
from llmctx.replay.memories import Memories, with_memory


class Plan(NamedTuple):
    """What to ask about each record."""

    template: Template | None = None
    """Another prompt; None sends the recorded messages again."""
    model: str | None = None
    """Another model; None asks the recorded one."""
    repeat: int = 1
    """How often each question is asked, to separate noise from effect."""
    fallback_model: str | None = None
    """The model for records that asked none because the call was refused."""
    mandate: Mandate | None = None
    """Another mandate; None judges by the one of the record."""
    memories: Memories | None = None
    """Another memory section for each record; None keeps the recorded one."""

    @property
    def mode(self) -> str:
        """again, or what is changed: prompt, model, mandate, memory, joined by `and`."""
        others = {"prompt": self.template, "model": self.model, "mandate": self.mandate, "memory": self.memories}
        return " and ".join(name for name, other in others.items() if other is not None) or "again"


class ReplayRequest(NamedTuple):
    """One question ready to be asked, or the reason why nothing is asked."""

    entry: Recorded
    """The record that it is about."""
    snapshot: Snapshot
    """The record's snapshot."""
    package: Package
    """The typed join of the snapshot."""
    prompt: Prompt | None
    """The prompt to send; None if nothing is asked."""
    model: str
    """The model to ask."""
    output: OutputSchema
    """The schema of the answer."""
    reason: str = ""
    """Why nothing is asked; empty otherwise."""
    policy: GuardPolicy = GuardPolicy()
    """The settings of the record's guardrails; the defaults if it names none."""
    snapshot_sha256: str = ""
    """The digest of the evidence: the record's, unless something in it is changed."""

    def conclude(self, completion: Completion | None, policy: GuardPolicy | None = None) -> Conclusion:
        """Conclude as the live run does, from the completion or, without one, from the reason why nothing was asked.

        The guardrails are set as they were for the record, unless `policy` is given.
        """
        policy = policy or self.policy
        if self.package.refusal is not None:
            conclusion = refuse(self.snapshot, self.package, self.package.refusal)
        elif completion is not None:
            return conclude(self.snapshot, self.package, self.prompt, completion, policy)
        elif "policy" in self.entry.record["verdict"]:
            fired = HALTED if self.reason == halt_in(self.package, policy.mandate) else NO_ANSWER
            conclusion = conclude_unasked(self.snapshot, self.package, self.reason, policy, fired=fired)
        else:  # records of 0.1.0 had no guardrails if nothing was asked
            conclusion = refuse(self.snapshot, self.package, self.reason)
        return conclusion._replace(prompt=self.prompt)

    def answer(self, conclusion: Conclusion) -> Answer:
        """Return the answer that a conclusion of this request stands for."""
        return answer_of(conclusion, model=self.model, snapshot=self.snapshot_sha256)

    def grounded(self, answer: Answer) -> Answer:
        """Return an answer to this record with its numbers checked, unless its grounding already counts citations.

        That needs no model, and changes neither verdict nor action.
        """
        checkable = answer.decision is not None and answer.text is not None and self.package.refusal is None
        if answer.grounded_by_citation or not checkable:
            return answer
        completion = Completion(outcome=Outcome.ANSWERED, content=answer.text, request={})
        grounding = self.conclude(completion, GuardPolicy(grounding="flag")).verdict.grounding
        return answer if grounding is None else answer._replace(grounding=grounding_fields(grounding))


def build_request(entry: Recorded, plan: Plan, blobs: BlobCache) -> ReplayRequest:
    """Build the request that a plan makes of a record: a pure function of the record, its blobs and the plan.

    Raises ReplayError if the record's evidence is unusable, or no model is named.
    """
    record = entry.record
    try:
        snapshot, sha256 = Snapshot.from_evidence(entry.pieces["snapshot"], blobs), record["snapshot"]["sha256"]
        template = plan.template
        if plan.memories is not None:
            snapshot = with_memory(snapshot, plan.memories.get(entry.place))
            sha256 = canonical.sha256(snapshot.evidence())
            template = template or (blobs.template(record["prompt"]["template_sha256"]) if "prompt" in record else None)
        package = build_package(snapshot)
        prompt = None if template is not None else recorded_prompt(entry, blobs)
        policy = policy_for(entry, blobs)
        if plan.mandate is not None:
            policy = policy.model_copy(update={"mandate": plan.mandate})
        output = OUTPUT if plan.template is not None else _recorded_output(record, blobs)
    except (KeyError, ValueError, TypeError, TemplateError) as error:
        why = error.what if isinstance(error, TemplateError) else f"{type(error).__name__}: {error}"
        raise ReplayError(
            f"Record {entry.index} cannot be asked again: {why}.", "Run `llmctx verify` to find out more."
        ) from error
    model = plan.model or record.get("request", {}).get("model") or plan.fallback_model or ""
    reason = package.refusal or halt_in(package, policy.mandate) or ""
    if template is not None and not reason:
        try:
            prompt = render(template, package)
        except TemplateError as error:
            reason = error.what
    if prompt is None:
        verdict = record["verdict"]
        fired = verdict.get("guards") or [{"detail": verdict.get("reason", "")}]
        reason = reason or str(fired[0]["detail"])
    elif not model:
        raise ReplayError(
            f"Record {entry.index} asked no model, and none is named.", "Name one with --model or LLMCTX_LLM__MODEL."
        )
    return ReplayRequest(
        entry=entry,
        snapshot=snapshot,
        package=package,
        prompt=prompt,
        model=model,
        output=output,
        reason=reason,
        policy=policy,
        snapshot_sha256=sha256,
    )


def position_of(package: Package) -> tuple[str, str]:
    """The quantity held and the price of a share, as text; zeros if they are unknown."""
    if package.refusal is not None:
        return "0", "0"
    return canonical.plain(package.position.quantity), canonical.plain(package.price.price.last)


def policy_for(entry: Recorded, blobs: BlobCache) -> GuardPolicy:
    """Return the settings of the guardrails under which a record was made, the defaults if it names none.

    Raises ValueError if its mandate is missing or was changed.
    """
    named = "policy" in entry.record["verdict"]
    return policy_of(entry.record, blobs.mandate(entry.record)) if named else GuardPolicy()


def recorded_prompt(entry: Recorded, blobs: BlobCache) -> Prompt | None:
    """Return the messages as they were sent, without the form of the answer, with the parameters of their template.

    Whoever asks adds the form that its endpoint needs; the same endpoint gets the same bytes again.
    """
    recorded = entry.record.get("prompt")
    if recorded is None:
        return None
    front_matter = blobs.template(recorded["template_sha256"]).front_matter
    piece = entry.pieces["messages"]
    prompt = Prompt.model_construct(
        template=recorded["template"],
        version=recorded["version"],
        template_sha256=recorded["template_sha256"],
        parameters=front_matter.parameters,
        output=front_matter.output,
        messages=tuple(Message(message["role"], message["content"]) for message in canonical.loads(piece)),
        evidence=piece,
    )
    return remove_form(prompt, blobs.form(entry.record.get("request", {}).get("schema_sha256")))


def _recorded_output(record: dict[str, Any], blobs: BlobCache) -> OutputSchema:
    """Return the output that a record's request asked for; one of this version is asked for anew, in any mode."""
    digest = record.get("request", {}).get("schema_sha256", OUTPUT.sha256)
    if digest in OUTPUT.variants:
        return OUTPUT
    document = canonical.loads(blobs[digest])
    return OutputSchema(document["name"], document["schema"], form=blobs.form(digest))
