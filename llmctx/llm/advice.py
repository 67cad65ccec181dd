"""Which setting mends a request that an endpoint refuses, from what it says of it."""

import re

from llmctx.llm.reported import ReportedError

PROBE = "`llmctx models --probe` tells which mode works"

_REFUSALS = {400, 404, 422, 500}
"""The statuses with which servers refuse a request: llama.cpp and LiteLLM use 500 too."""


def _rename(name: str, other: str) -> str:
    return f'set LLMCTX_LLM__PROFILE__RENAME=\'{{"{name}": "{other}"}}\''


_ADVICE = (
    (
        r"context.?(length|size|window)|maximum context|prompt is too long|exceeds? .{0,20}context|n_ctx",
        "the prompt does not fit the model's context: allow a larger one in the server, or use a shorter prompt",
    ),
    (
        r"max_completion_tokens.{0,40}instead|max_tokens.{0,60}not supported",
        _rename("max_tokens", "max_completion_tokens"),
    ),
    (r"max_completion_tokens", _rename("max_completion_tokens", "max_tokens")),
    (
        r"\b(?P<drop>temperature|top_p|seed|reasoning_effort|service_tier)\b",
        "set LLMCTX_LLM__PROFILE__DROP='[\"{drop}\"]'",
    ),
    (
        r"grammar|repetitions|(min|max)(Items|Length|imum)|exclusiveMinimum",
        f"set LLMCTX_LLM__PROFILE__MODE=schema, which sends no bounds, or prompted; {PROBE}",
    ),
    (
        r"response_?format|json_?schema|structured.?output|guided",
        f"set LLMCTX_LLM__PROFILE__MODE=json_object, tool or prompted; {PROBE}",
    ),
    (
        r"\btools?\b|tool_?choice|function.?call",
        f"set LLMCTX_LLM__PROFILE__MODE to another mode than tool; {PROBE}",
    ),
)
"""The first that matches holds."""


def advice(status: int, error: ReportedError) -> str:
    """What to set so that the endpoint takes the request; empty if that is not known."""
    if status not in _REFUSALS:
        return ""
    said = f"{error.param} {error.code} {error.message}"
    for pattern, setting in _ADVICE:
        if found := re.search(pattern, said, re.IGNORECASE):
            return setting.replace("{drop}", found.groupdict().get("drop") or "")
    return ""
