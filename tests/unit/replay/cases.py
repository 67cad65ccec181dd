"""Recorded decisions to begin with, made by the real steps."""

from typing import Any

from llmctx.assets import asset
from llmctx.context.tick import Tick
from llmctx.decision.conclude import Conclusion
from llmctx.decision.decision import OUTPUT
from llmctx.decision.guards import GuardPolicy, guard
from llmctx.decision.parse import judge
from llmctx.llm.completion import read_completion
from llmctx.llm.request import kept
from llmctx.prompt.render import render
from llmctx.prompt.template import Template, load_template
from llmctx.record import RecordMetadata, compose
from llmctx.replay.corpus import Recorded
from tests.unit.makers import NOW_MS, SYMBOL, answer_text, body, market, package_of, snapshot_of

V1 = load_template(asset("prompts"), "position/v1")
"""The prompt that records are made with; newer versions change nothing here."""
ORIGIN = "llmctx/0123456789abcdef"


def case(
    index: int = 0, *, using: Template | None = None, said: dict[str, Any] | None = None, **changes: Any
) -> Recorded:
    """The record of one decision; `changes` are the market's, `said` those of the answer."""
    documents = market(**changes)
    snapshot, package = snapshot_of(documents), package_of(documents)
    prompt = render(using or V1, package)
    request = kept("http://model", "asked-model", prompt.parameters, OUTPUT)
    answered = read_completion(body(answer_text(**(said or {}))), request, ())
    decided, failure = judge(answered)
    verdict = guard(package, decided, GuardPolicy(), failure)
    conclusion = Conclusion(snapshot, package, verdict, prompt, answered, decided)
    metadata = RecordMetadata(NOW_MS, "host:1", timings_ms={"complete": 100.0 + index})
    draft = compose(Tick(id=f"t{index}", symbol=SYMBOL), conclusion, metadata, ())
    return Recorded(draft.leaf, draft.pieces, index=index, origin=ORIGIN)


def blobs(*templates: Template) -> dict[str, bytes]:
    """What records made with these templates (the shipped one otherwise) name by digest."""
    return {OUTPUT.sha256: OUTPUT.bundle} | {used.sha256: used.bundle for used in templates or (V1,)}
