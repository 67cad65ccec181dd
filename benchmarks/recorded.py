"""A recorded day without a server: what join, rules and record make of each bar, with every section there."""

import json
from collections.abc import Iterator
from itertools import islice

from benchmarks.day import Day, bars
from llmctx import canonical, clock
from llmctx.assets import asset
from llmctx.context.package import build_package
from llmctx.context.snapshot import RawSection, ReadRules, Snapshot
from llmctx.context.tick import Tick
from llmctx.decision.decision import OUTPUT
from llmctx.decision.guardrail import GuardPolicy, guard
from llmctx.decision.parse import judge
from llmctx.llm.completion import Attempt, read_completion
from llmctx.llm.rulebook import Facts, decide
from llmctx.prompt.render import render
from llmctx.prompt.template import Template, load_template
from llmctx.record import Circumstances, Conclusion, compose, publication
from llmctx.replay.corpus import Recorded
from llmctx.schema.keys import section_keys

ORIGIN = "llmctx/benchmark"


def template() -> Template:
    """The prompt with which the day is recorded."""
    return load_template(asset("prompts"), "position/v1")


def blobs() -> dict[str, bytes]:
    """What the records name by digest."""
    return {template().sha256: template().bundle, OUTPUT.sha256: OUTPUT.bundle}


def records(count: int) -> Iterator[Recorded]:
    """The records of `count` decisions in a row, thesis and all."""
    day, used, rules, live = Day(), template(), ReadRules(), dict[str, str]()
    for index, bar in enumerate(islice(bars(), count)):
        live |= day.after(bar)
        keys = section_keys(bar.symbol, rules.signal_types, 0)
        now_ms = clock.to_ms(bar.start) + 60_000
        sections = {name: RawSection(key, live[key].encode() if key in live else None) for name, key in keys.items()}
        snapshot = Snapshot(
            symbol=bar.symbol, partition=0, server_ms=now_ms, as_of_ms=now_ms, clock="bars", rules=rules,
            sections=sections,
        )  # fmt: skip
        entry = _record(index, snapshot, used)
        thesis = publication(entry, 1)
        assert thesis is not None
        live[keys["thesis"]] = canonical.wire(thesis.model_dump(mode="json")).decode()
        yield entry


def _record(index: int, snapshot: Snapshot, used: Template) -> Recorded:
    package = build_package(snapshot)
    prompt = render(used, package)
    text = prompt.messages[1].content
    answer = json.dumps(decide(Facts(text)))
    body = {
        "id": f"chatcmpl-{index:024}", "object": "chat.completion", "created": snapshot.server_ms // 1000,
        "model": "llmctx-standin", "system_fingerprint": "rules-1",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": answer}, "finish_reason": "stop"}
        ],
        "usage": {"prompt_tokens": len(text) // 4, "completion_tokens": len(answer) // 4},
    }  # fmt: skip
    request = {
        "endpoint": "http://127.0.0.1:8700/v1", "model": "llmctx-standin",
        "parameters": {"max_completion_tokens": 1200, "temperature": "0"},
        "schema": OUTPUT.name, "schema_sha256": OUTPUT.sha256,
    }  # fmt: skip
    completion = read_completion(json.dumps(body).encode(), request, (Attempt("ok", 400 + index % 900, f"r-{index}"),))
    decision, failure = judge(completion)
    verdict = guard(package, decision, GuardPolicy(), failure)
    conclusion = Conclusion(snapshot, package, verdict, prompt, completion, decision)
    circumstances = Circumstances(snapshot.server_ms, "bench:1", timings_ms={"read": 0.4, "complete": 400.0})
    draft = compose(Tick(id=f"t:{index}", symbol=snapshot.symbol), conclusion, circumstances, ())
    return Recorded(draft.leaf, draft.pieces, index=index, origin=ORIGIN)
