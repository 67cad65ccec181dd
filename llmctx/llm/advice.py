"""Which setting fixes a request that an endpoint refuses, judging by its message."""

import re
from typing import NamedTuple

from llmctx.llm.profile import ProfileSettings
from llmctx.llm.reported import ReportedError

PROBE = "`llmctx models --probe` tells which mode works"

_REFUSALS = {400, 404, 422, 500}
"""The statuses with which servers refuse a request: llama.cpp and LiteLLM use 500 too."""


class Advice(NamedTuple):
    """What is refused, and what to do about it."""

    about: str
    """context, parameter, schema or tool."""
    text: str
    """What to do, as appended to the endpoint's message."""
    settings: ProfileSettings | None = None
    """The setting that fixes it; None if one parameter's setting is not enough."""


def _rename(name: str, other: str) -> Advice:
    setting = f'LLMCTX_LLM__PROFILE__RENAME=\'{{"{name}": "{other}"}}\''
    return Advice("parameter", f"set {setting}", ProfileSettings(rename={name: other}))


def _drop(name: str) -> Advice:
    return Advice("parameter", f"set LLMCTX_LLM__PROFILE__DROP='[\"{name}\"]'", ProfileSettings(drop=(name,)))


_CONTEXT = "the prompt does not fit the model's context: allow a larger one in the server, or use a shorter prompt"
_ADVICE = (
    (
        r"context.?(length|size|window)|maximum context|prompt is too long|exceeds? .{0,20}context|n_ctx",
        Advice("context", _CONTEXT),
    ),
    (
        r"max_completion_tokens.{0,40}instead|max_tokens.{0,60}not supported",
        _rename("max_tokens", "max_completion_tokens"),
    ),
    (r"max_completion_tokens", _rename("max_completion_tokens", "max_tokens")),
    *((rf"\b{name}\b", _drop(name)) for name in ("temperature", "top_p", "seed", "reasoning_effort", "service_tier")),
    (
        r"grammar|repetitions|(min|max)(Items|Length|imum)|exclusiveMinimum",
        Advice("schema", f"set LLMCTX_LLM__PROFILE__MODE=schema, which sends no bounds, or prompted; {PROBE}"),
    ),
    (
        r"response_?format|json_?schema|structured.?output|guided",
        Advice("schema", f"set LLMCTX_LLM__PROFILE__MODE=json_object, tool or prompted; {PROBE}"),
    ),
    (
        r"\btools?\b|tool_?choice|function.?call",
        Advice("tool", f"set LLMCTX_LLM__PROFILE__MODE to another mode than tool; {PROBE}"),
    ),
)
"""The first match wins."""


def advice(status: int, error: ReportedError) -> Advice | None:
    """What to set so that the endpoint accepts the request; None if unknown."""
    if status not in _REFUSALS:
        return None
    said = f"{error.param} {error.code} {error.message}"
    return next((found for pattern, found in _ADVICE if re.search(pattern, said, re.IGNORECASE)), None)
