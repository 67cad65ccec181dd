"""Rebuild a record from its evidence: snapshot to package to prompt, byte for byte, then answer to decision to verdict.

Every part is tried, whatever rules made the record; a part that comes out as recorded is proven. What a difference
means depends on the rules (llmctx/rules.py): under the same ones the record was altered, under others it is not
reproducible. What no rules decide holds under all of them: the symbol and time of the snapshot, the template's digest,
and that the decision is what the model's answer says.

Nothing here asks a model or a server; templates come from the trail's blobs, never from files.
"""

from collections.abc import Callable
from functools import cached_property
from typing import Any

from llmctx import canonical
from llmctx.context.package import Package, build_package
from llmctx.context.snapshot import Snapshot
from llmctx.decision.decision import Decision
from llmctx.decision.guards import guard, refused
from llmctx.decision.parse import Misfit, judge, parse
from llmctx.decision.reask import ask_again
from llmctx.errors import TemplateError
from llmctx.llm.completion import Outcome, read_completion
from llmctx.prompt.render import Prompt, render
from llmctx.prompt.template import Template
from llmctx.record import decision_fields, grounding_fields, policy_of, sections_fields, verdict_fields
from llmctx.replay.answer import contradiction
from llmctx.replay.cause import CODE, DATA, MODEL, TEMPLATE, cause_of_prompt
from llmctx.replay.difference import Difference, Rebuild, mismatch, mismatch_of_lines
from llmctx.replay.side import messages_of
from llmctx.rules import Rules, compare
from llmctx.trail.log.entry import PIECES, Entry

_READ_FROM_BODY = {Outcome.ANSWERED, Outcome.REFUSED, Outcome.TRUNCATED, Outcome.FILTERED, Outcome.UNREADABLE}
_UNUSABLE = (ValueError, KeyError, TypeError, AttributeError, ArithmeticError, AssertionError, IndexError)


class Templates:
    """Templates by digest, compiled once."""

    def __init__(self, blobs: dict[str, bytes]) -> None:
        self._blobs = blobs
        self._compiled: dict[str, Template] = {}

    def source(self, digest: str) -> bytes:
        """The blob of a digest.

        Raises TemplateError where it is missing or another one.
        """
        blob = self._blobs.get(digest)
        if blob is None or canonical.sha256(blob) != digest:
            found = "missing" if blob is None else f"another one: {canonical.sha256(blob)}"
            raise TemplateError(f"the blob {digest} is {found}", "Put the blob back from a backup.")
        return blob

    def get(self, digest: str) -> Template:
        """The template of a digest.

        Raises TemplateError where it cannot be had.
        """
        if digest not in self._compiled:
            self._compiled[digest] = Template.from_bundle(self.source(digest))
        return self._compiled[digest]


def rebuild(entry: Entry, templates: Templates) -> Rebuild:
    """What of a record comes out of its evidence again. A record without a snapshot has nothing to rebuild."""
    record = entry.record
    rules = compare(record.get("code", ""))
    if "snapshot" not in record:
        if record["kind"] not in ("decision", "failed"):
            return Rebuild(rules)
        what = f"a {record['kind']} without a snapshot"
        return Rebuild(rules, differences=(Difference("snapshot", "record-rebuilt", what, DATA, tampered=True),))
    proven, differences = [], []
    attempt = _Attempt(entry, templates)
    for part, check in attempt.parts():
        difference = _difference(part, check, rules)
        if difference is None:
            proven.append(part)
            continue
        differences.append(difference)
        if part == "snapshot":
            break  # everything else leans on it
    return Rebuild(rules, tuple(proven), tuple(differences))


def check_evidence(entry: Entry) -> Difference | None:
    """The first piece of evidence that is not the one whose digest the leaf holds.

    `trail.verify` holds a whole log to its rules; a replay of single records asks only this.
    """
    for piece, name in PIECES.items():
        promised = entry.record.get(name)
        if not isinstance(promised, dict) or "sha256" not in promised:
            continue
        found = canonical.sha256(entry.pieces[piece]) if piece in entry.pieces else "nothing"
        if found != promised["sha256"]:
            what = f"the {piece} kept is not the one recorded: expected {promised['sha256']}, found {found}"
            return Difference(piece, f"evidence-digest of {piece}", what, DATA, tampered=True)
    return None


class _DiffersError(Exception):
    """Ends the check of one part. `held` says that no rules decide it."""

    def __init__(self, rule: str, what: str, by: str, *, held: bool = False) -> None:
        self.rule = rule
        self.by = by
        self.held = held
        super().__init__(what)


def _difference(part: str, check: Callable[[], None], rules: Rules) -> Difference | None:
    try:
        check()
    except _DiffersError as error:
        rule, what, by, tampered = error.rule, str(error), error.by, error.held or rules is Rules.SAME
    except _UNUSABLE as error:
        rule, what, by = "record-rebuilt", f"it cannot be rebuilt: {type(error).__name__}: {error}", DATA
        tampered = rules is Rules.SAME
    else:
        return None
    return Difference(part, rule, what, by if tampered else CODE, tampered)


def _expect(where: str, expected: dict[str, Any], found: dict[str, Any], by: str = DATA, *, held: bool = False) -> None:
    for name, value in expected.items():
        if found.get(name) != value:
            field = f"{where}.{name}" if where else name
            raise _DiffersError("record-rebuilt", mismatch(field, found.get(name), value), by, held=held)


class _Attempt:
    """The rebuild of one record that has a snapshot."""

    def __init__(self, entry: Entry, templates: Templates) -> None:
        self._entry = entry
        self._record = entry.record
        self._templates = templates

    def parts(self) -> list[tuple[str, Callable[[], None]]]:
        """The parts of the record, each with what raises where it differs."""
        parts = [("snapshot", self._check_snapshot), ("sections", self._check_sections)]
        if "prompt" in self._record:
            parts.append(("prompt", self._check_prompt))
        if "reasked" in self._record:
            parts.append(("reasked", self._check_reasked))
        if "completion" in self._record:
            parts += [("decision", self._check_decision), ("grounding", self._check_grounding)]
        return [*parts, ("verdict", self._check_verdict)]

    @cached_property
    def _snapshot(self) -> Snapshot:
        return Snapshot.from_evidence(self._entry.pieces["snapshot"])

    @cached_property
    def _package(self) -> Package:
        return build_package(self._snapshot)

    @cached_property
    def _prompt(self) -> Prompt:
        digest = self._record["prompt"]["template_sha256"]
        try:
            self._templates.source(digest)
        except TemplateError as error:
            raise _DiffersError("prompt-rebuilt", error.what, TEMPLATE, held=True) from error
        try:
            template = self._templates.get(digest)
        except TemplateError as error:
            raise _DiffersError("prompt-rebuilt", error.what, TEMPLATE) from error
        try:
            return render(template, self._package)
        except TemplateError as error:
            what = f"the prompt cannot be rendered again: {error.what}"
            raise _DiffersError("prompt-rebuilt", what, DATA) from error

    @cached_property
    def _judged(self) -> tuple[Decision | None, str]:
        """The decision that the recorded answer gives, or None and why not."""
        said = self._record["completion"]
        if said["outcome"] not in _READ_FROM_BODY:
            return None, f"{said['outcome']}: {said['detail']}"
        completion = read_completion(self._entry.pieces["completion"], {}, ())
        _expect("completion", {"outcome": completion.outcome.value, "model": completion.model}, said, MODEL)
        return judge(completion)

    def _check_snapshot(self) -> None:
        told = {"symbol": self._snapshot.symbol, "as_of_ms": self._snapshot.as_of_ms}
        _expect("snapshot", told, self._record, held=True)

    def _check_sections(self) -> None:
        _expect("snapshot", {"sections": sections_fields(self._package)}, self._record["snapshot"])

    def _check_prompt(self) -> None:
        prompt, messages = self._prompt, self._entry.pieces["messages"]
        if "reasked" in self._record:  # the question that was asked first begins the messages of the second one
            messages = canonical.dumps(canonical.loads(messages)[: len(prompt.messages)])
        self._expect_messages(prompt, messages)
        names = {"template": prompt.template, "version": prompt.version}
        _expect("prompt", names, self._record["prompt"], TEMPLATE)

    def _check_reasked(self) -> None:
        """The second question: the first answer stands in its messages, and what was wrong with it follows."""
        messages = canonical.loads(self._entry.pieces["messages"])
        answer = str(messages[len(self._prompt.messages)]["content"])
        first = parse(answer)
        policy = policy_of(self._record)
        verdict = refused("") if isinstance(first, Misfit) else guard(self._package, first, policy)
        if verdict.grounding is None or not verdict.asks_again:
            raise _DiffersError("record-rebuilt", "reasked: its first answer states no false price", MODEL)
        _expect("reasked", {"grounding": grounding_fields(verdict.grounding)}, self._record["reasked"])
        self._expect_messages(ask_again(self._prompt, answer, verdict.grounding), self._entry.pieces["messages"])

    def _expect_messages(self, prompt: Prompt, messages: bytes) -> None:
        if prompt.evidence == messages:
            return
        sent = "\n".join(text for _, text in messages_of(self._entry))
        rendered = "\n".join(message.content for message in prompt.messages)
        what = f"the messages differ from those that were sent: {mismatch_of_lines(sent, rendered)}"
        raise _DiffersError("prompt-rebuilt", what, cause_of_prompt(sent, rendered))

    def _check_decision(self) -> None:
        decision, _ = self._judged
        expected = None if decision is None else decision_fields(decision)
        found = self._record.get("decision")
        if found != expected and (told := contradiction(self._entry)):
            raise _DiffersError("record-rebuilt", told, MODEL, held=True)
        _expect("", {"decision": expected, "kind": "failed" if decision is None else "decision"}, self._record, MODEL)

    def _check_grounding(self) -> None:
        grounding = self._concluded["grounding"]
        _expect("", {"grounding": grounding}, self._record)

    def _check_verdict(self) -> None:
        if "completion" in self._record:
            _expect("", {"verdict": self._concluded["verdict"]}, self._record)
        elif self._package.refusal is not None:  # otherwise the template refused, and the verdict repeats its reason
            _expect("verdict", verdict_fields(refused(self._package.refusal)), self._record["verdict"])

    @cached_property
    def _concluded(self) -> dict[str, Any]:
        """Grounding and verdict that the guards give, as a leaf has them."""
        decision, failure = self._judged
        verdict = guard(self._package, decision, policy_of(self._record), failure)
        grounding = None if verdict.grounding is None else grounding_fields(verdict.grounding)
        return {"grounding": grounding, "verdict": verdict_fields(verdict)}
