"""Recorded decisions, made by the real pipeline steps."""

from typing import Any

from llmctx.assets import asset
from llmctx.context.tick import Tick
from llmctx.decision.conclude import conclude
from llmctx.decision.decision import OUTPUT
from llmctx.decision.verdict import GuardPolicy
from llmctx.llm.completion import read_completion
from llmctx.prompt.render import render
from llmctx.prompt.template import Template, load_template
from llmctx.record import RecordMetadata, compose
from llmctx.replay.corpus import BlobCache, Recorded
from tests.unit.makers import NOW_MS, SYMBOL, answer_text, body, market, package_of, request_of, snapshot_of

V1 = load_template(asset("prompts"), "position/v1")
"""The prompt of the records."""
ORIGIN = "llmctx/0123456789abcdef"


def case(
    index: int = 0, *, using: Template | None = None, said: dict[str, Any] | None = None, **changes: Any
) -> Recorded:
    """Return the record of one decision; `changes` alter the market, `said` the answer."""
    documents = market(**changes)
    snapshot, package = snapshot_of(documents), package_of(documents)
    prompt = render(using or V1, package)
    request = request_of("asked-model", prompt)
    answered = read_completion(body(answer_text(**(said or {}))), request, ())
    conclusion = conclude(snapshot, package, prompt, answered, GuardPolicy())
    metadata = RecordMetadata(NOW_MS, "host:1", timings_ms={"complete": 100.0 + index})
    draft = compose(Tick(id=f"t{index}", symbol=SYMBOL), conclusion, metadata, ())
    return Recorded(draft.leaf, draft.pieces, index=index, origin=ORIGIN)


def blobs(*templates: Template) -> BlobCache:
    """Return the blobs named by records made with these templates, position/v1 by default."""
    return BlobCache({OUTPUT.sha256: OUTPUT.bundle} | {used.sha256: used.bundle for used in templates or (V1,)})
