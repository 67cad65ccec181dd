"""A plan: what is asked again, of whom, how often; and the prompt that it makes of one recorded decision."""

from typing import Any, NamedTuple

from llmctx import canonical
from llmctx.context.package import build_package
from llmctx.context.snapshot import Snapshot
from llmctx.decision.conclude import conclude, refuse
from llmctx.decision.decision import OUTPUT
from llmctx.decision.grounding import ground
from llmctx.decision.guards import GuardPolicy
from llmctx.decision.parse import Misfit, parse
from llmctx.errors import ReplayError, TemplateError
from llmctx.llm.completion import Completion, OutputSchema
from llmctx.prompt.render import Message, Prompt, render
from llmctx.prompt.template import Template
from llmctx.record import grounding_fields, policy_of
from llmctx.replay.corpus import Recorded
from llmctx.replay.rerun import Templates
from llmctx.replay.side import Side, is_by_citation, side_of


class Plan(NamedTuple):
    """What is to be asked of each record."""

    template: Template | None = None
    """Another prompt; None sends the recorded messages once more."""
    model: str | None = None
    """Another model; None asks the one that the record asked."""
    repeat: int = 1
    """How often each is asked, so that noise can be told from effect."""
    spare_model: str | None = None
    """Whom to ask where a record asked nobody (its call was refused) and another prompt is tried."""

    @property
    def mode(self) -> str:
        """again, prompt, model, or prompt and model."""
        changed = [name for name, other in (("prompt", self.template), ("model", self.model)) if other is not None]
        return " and ".join(changed) or "again"


class Draft(NamedTuple):
    """One question, ready to be asked: or, without a prompt, why there is none."""

    entry: Recorded
    """The record it is about."""
    snapshot: Snapshot
    """What was known."""
    prompt: Prompt | None
    """What is asked."""
    model: str
    """Of whom."""
    output: OutputSchema
    """The schema of the answer."""
    reason: str = ""
    """Why nothing is asked."""

    @property
    def position(self) -> tuple[str, str]:
        """Shares held and the price of one, as texts; zeros where that is not known."""
        package = build_package(self.snapshot)
        if package.refusal is not None:
            return "0", "0"
        return canonical.plain(package.position.quantity), canonical.plain(package.price.price.last)

    def side(self, completion: Completion | None) -> Side:
        """What it came to, with the answer."""
        package = build_package(self.snapshot)
        if completion is None:
            conclusion = refuse(self.snapshot, package, self.reason)._replace(prompt=self.prompt)
        else:
            conclusion = conclude(self.snapshot, package, self.prompt, completion, _policy(self.entry.record))
        known = canonical.sha256(self.entry.pieces["snapshot"])
        return side_of(conclusion, model=self.model, snapshot=known)

    def grounded(self, side: Side) -> Side:
        """A side of this record with what the package bears out of its answer, unless it has that by today's rules.

        It needs no model, and changes neither verdict nor action.
        """
        package = build_package(self.snapshot)
        if (
            is_by_citation(side.grounding)
            or side.decision is None
            or side.answer is None
            or package.refusal is not None
        ):
            return side
        decision = parse(side.answer)
        if isinstance(decision, Misfit):
            return side
        return side._replace(grounding=grounding_fields(ground(package, decision)))


def draft(entry: Recorded, plan: Plan, templates: Templates, blobs: dict[str, bytes]) -> Draft:
    """The question that a plan makes of a record. A pure function of the record, its blobs and the plan.

    Raises ReplayError where the record cannot be asked again: its evidence is not usable, or nobody is named.
    """
    record = entry.record
    try:
        snapshot = Snapshot.from_evidence(entry.pieces["snapshot"])
        package = build_package(snapshot)
        prompt = None if plan.template is not None else _recorded_prompt(entry, templates)
        output = OUTPUT if plan.template is not None else _recorded_output(record, blobs)
    except (KeyError, ValueError, TypeError, TemplateError) as error:
        why = error.what if isinstance(error, TemplateError) else f"{type(error).__name__}: {error}"
        raise ReplayError(
            f"Record {entry.index} cannot be asked again: {why}.", "`llmctx verify` tells more."
        ) from error
    model = plan.model or record.get("request", {}).get("model") or plan.spare_model or ""
    reason = package.refusal or ""
    if plan.template is not None and not reason:
        try:
            prompt = render(plan.template, package)
        except TemplateError as error:
            reason = error.what
    if prompt is None:
        return Draft(entry, snapshot, None, model, output, reason or str(record["verdict"].get("reason", "")))
    if not model:
        raise ReplayError(
            f"Record {entry.index} asked no model, and none is named.", "Name one with --model or LLMCTX_LLM__MODEL."
        )
    return Draft(entry, snapshot, prompt, model, output)


def _recorded_prompt(entry: Recorded, templates: Templates) -> Prompt | None:
    """The messages exactly as they were sent, with the parameters of their template."""
    said = entry.record.get("prompt")
    if said is None:
        return None
    template = templates.get(said["template_sha256"])
    piece = entry.pieces["messages"]
    return Prompt.model_construct(
        template=said["template"],
        version=said["version"],
        template_sha256=said["template_sha256"],
        parameters=template.front_matter.parameters,
        output=template.front_matter.output,
        messages=tuple(Message(message["role"], message["content"]) for message in canonical.loads(piece)),
        evidence=piece,
    )


def _recorded_output(record: dict[str, Any], blobs: dict[str, bytes]) -> OutputSchema:
    digest = record.get("request", {}).get("schema_sha256", OUTPUT.sha256)
    if digest == OUTPUT.sha256:
        return OUTPUT
    document = canonical.loads(blobs[digest])
    return OutputSchema(document["name"], document["schema"])


def _policy(record: dict[str, Any]) -> GuardPolicy:
    return policy_of(record) if "policy" in record["verdict"] else GuardPolicy()
