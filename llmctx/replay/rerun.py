"""Rebuild a record from its evidence: snapshot to package to prompt, byte for byte, then answer to decision to verdict.

Nothing here asks a model or a server; templates come from the trail's blobs, never from files.
"""

from typing import Any, NamedTuple

from llmctx import canonical
from llmctx.context.package import Package, build_package
from llmctx.context.snapshot import Snapshot
from llmctx.decision.decision import Decision
from llmctx.decision.guardrail import guard, refused
from llmctx.decision.parse import Misfit, judge, parse
from llmctx.decision.reask import ask_again
from llmctx.errors import TemplateError
from llmctx.llm.completion import Outcome, read_completion
from llmctx.prompt.render import Prompt, render
from llmctx.prompt.template import Template
from llmctx.record import CODE, decision_fields, grounding_fields, policy_of, sections_fields, verdict_fields
from llmctx.replay.cause import CODE as CODE_CHANGED
from llmctx.replay.cause import DATA, MODEL, TEMPLATE, cause_of_prompt
from llmctx.replay.mismatch import mismatch, mismatch_of_lines
from llmctx.replay.side import messages_of
from llmctx.trail.log.entry import PIECES, Entry

_READ_FROM_BODY = {Outcome.ANSWERED, Outcome.REFUSED, Outcome.TRUNCATED, Outcome.FILTERED, Outcome.UNREADABLE}


class Difference(NamedTuple):
    """What a record says and its evidence does not."""

    rule: str
    """The rule it breaks, by the name it has in audit/README.md."""
    cause: str
    """What differs."""
    tampered: bool
    """Whether only an altered record explains it. Another code version may write other bytes for good reason."""
    by: str = CODE_CHANGED
    """What was changed: data, template, model or code."""


class Templates:
    """Templates by digest, compiled once."""

    def __init__(self, blobs: dict[str, bytes]) -> None:
        self._blobs = blobs
        self._compiled: dict[str, Template] = {}

    def get(self, digest: str) -> Template:
        """The template of a digest.

        Raises TemplateError where it cannot be had.
        """
        if digest not in self._compiled:
            blob = self._blobs.get(digest)
            if blob is None or canonical.sha256(blob) != digest:
                found = "missing" if blob is None else f"another one: {canonical.sha256(blob)}"
                raise TemplateError(f"the blob {digest} is {found}", "Put the blob back from a backup.")
            self._compiled[digest] = Template.from_bundle(blob)
        return self._compiled[digest]


def rebuild(entry: Entry, templates: Templates) -> Difference | None:
    """The first thing that a record says and its evidence does not; None where all comes out again.

    A record without a snapshot has nothing to rebuild.
    """
    record = entry.record
    if "snapshot" not in record:
        if record["kind"] in ("decision", "failed"):
            return Difference("record-rebuilt", f"a {record['kind']} without a snapshot", tampered=True, by=DATA)
        return None
    same_code = record.get("code", CODE) == CODE
    try:
        snapshot = Snapshot.from_evidence(entry.pieces["snapshot"])
        package = build_package(snapshot)
        _expect("snapshot", {"symbol": snapshot.symbol, "as_of_ms": snapshot.as_of_ms}, record)
        _expect("snapshot", {"sections": sections_fields(package)}, record["snapshot"])
        if "prompt" in record:
            _expect_prompt(entry, package, templates)
        _expect_conclusion(entry, package)
    except _DiffersError as difference:
        return Difference(difference.rule, str(difference), same_code, difference.by if same_code else CODE_CHANGED)
    except TemplateError as error:
        return Difference("prompt-rebuilt", error.what, tampered=True, by=TEMPLATE)
    except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError, AssertionError) as error:
        what = f"it cannot be rebuilt: {type(error).__name__}: {error}"
        return Difference("record-rebuilt", what, same_code, DATA if same_code else CODE_CHANGED)
    return None


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
            return Difference(f"evidence-digest of {piece}", what, tampered=True, by=DATA)
    return None


class _DiffersError(Exception):
    """Ends a rebuild at its first difference."""

    def __init__(self, rule: str, what: str, by: str) -> None:
        self.rule = rule
        self.by = by
        super().__init__(what)


def _expect(where: str, expected: dict[str, Any], found: dict[str, Any], by: str = DATA) -> None:
    for name, value in expected.items():
        if found.get(name) != value:
            field = name if where == "record" else f"{where}.{name}"
            raise _DiffersError("record-rebuilt", mismatch(field, found.get(name), value), by)


def _expect_prompt(entry: Entry, package: Package, templates: Templates) -> None:
    said = entry.record["prompt"]
    template = templates.get(said["template_sha256"])
    try:
        prompt = render(template, package)
    except TemplateError as error:
        raise _DiffersError("prompt-rebuilt", f"the prompt cannot be rendered again: {error.what}", DATA) from error
    if "reasked" in entry.record:
        prompt = _asked_again(entry, package, prompt)
    if prompt.evidence != entry.pieces["messages"]:
        sent = "\n".join(text for _, text in messages_of(entry))
        rendered = "\n".join(message.content for message in prompt.messages)
        what = f"the messages differ from those that were sent: {mismatch_of_lines(sent, rendered)}"
        raise _DiffersError("prompt-rebuilt", what, cause_of_prompt(sent, rendered))
    _expect("prompt", {"template": prompt.template, "version": prompt.version}, said, TEMPLATE)


def _asked_again(entry: Entry, package: Package, prompt: Prompt) -> Prompt:
    """The second question: the first answer stands in its messages, and what was wrong with it follows."""
    messages = canonical.loads(entry.pieces["messages"])
    answer = str(messages[len(prompt.messages)]["content"])
    first = parse(answer)
    policy = policy_of(entry.record)
    verdict = refused("") if isinstance(first, Misfit) else guard(package, first, policy)
    if verdict.grounding is None or not verdict.asks_again:
        raise _DiffersError("record-rebuilt", "reasked: its first answer states no false price", MODEL)
    _expect("reasked", {"grounding": grounding_fields(verdict.grounding)}, entry.record["reasked"])
    return ask_again(prompt, answer, verdict.grounding)


def _expect_conclusion(entry: Entry, package: Package) -> None:
    record = entry.record
    if "completion" not in record:
        if package.refusal is not None:  # otherwise the template refused, and the verdict repeats its reason
            _expect("verdict", verdict_fields(refused(package.refusal)), record["verdict"])
        return
    decision, failure = _judged(entry)
    _expect("record", {"decision": None if decision is None else decision_fields(decision)}, record, MODEL)
    verdict = guard(package, decision, policy_of(record), failure)
    grounding = None if verdict.grounding is None else grounding_fields(verdict.grounding)
    _expect("record", {"grounding": grounding, "verdict": verdict_fields(verdict)}, record)
    _expect("record", {"kind": "failed" if decision is None else "decision"}, record)


def _judged(entry: Entry) -> tuple[Decision | None, str]:
    said = entry.record["completion"]
    if said["outcome"] not in _READ_FROM_BODY:
        return None, f"{said['outcome']}: {said['detail']}"
    completion = read_completion(entry.pieces["completion"], {}, ())
    _expect("completion", {"outcome": completion.outcome.value, "model": completion.model}, said, MODEL)
    return judge(completion)
