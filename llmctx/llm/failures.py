"""Consecutive failed calls to an endpoint: how many, and what to do about them."""

import re
from collections.abc import Mapping
from typing import Any

MAX_CONSECUTIVE_FAILURES = 8
"""After this many calls in a row without an answer the endpoint counts as down."""

_MISFIT = "the answer does not fit the form"
_REMEDIES = (
    (r"insufficient_quota", "The account has no quota left: raise it with the provider, or name another --endpoint."),
    (r"a minute would mean a wait", "Raise requests_per_minute or tokens_per_minute, or lower --concurrency."),
    (r"no endpoint was asked", "Every circuit breaker is open: the log says why each endpoint failed before."),
    (r"http 429", "The rate limit was reached: lower --concurrency, or wait."),
    (r"http 40[13]", "Check the API key and that it may use the model: LLMCTX_LLM__API_KEY."),
    (r"http 404", "Check the endpoint's path (it usually ends in /v1) and the model's name."),
    (r"http 4\d\d", "The endpoint rejects the request and says why: `llmctx models --probe` tells what it takes."),
    (r"http 5\d\d", "The endpoint has a problem of its own: try again later."),
    (_MISFIT, "See one with `llmctx show`; `llmctx models --probe` tells which output mode the model keeps to."),
    (r"deadline", "Lower --concurrency, or allow more time with LLMCTX_LLM__TIMEOUT_S."),
)


class FailureCount:
    """Counts calls, those that failed, and those that failed since the last one that did not."""

    def __init__(self) -> None:
        self.calls = 0
        """All calls."""
        self.failed = 0
        """Those that failed."""
        self.in_a_row = 0
        """Those that failed since the last success."""
        self.last = ""
        """Why the last of them failed."""

    def succeed(self) -> None:
        """Count a call that did not fail."""
        self.calls += 1
        self.in_a_row = 0

    def fail(self, why: str) -> None:
        """Count a call that failed, for the reason given."""
        self.calls += 1
        self.failed += 1
        self.in_a_row += 1
        self.last = why

    @property
    def remedy(self) -> str:
        """What to do about the last failure."""
        return remedy(self.last)


def failure_of(completion: Mapping[str, Any]) -> str:
    """Why a recorded completion is not usable."""
    said = _MISFIT if completion["outcome"] == "answered" else str(completion.get("detail") or completion["outcome"])
    if "endpoint" not in completion:
        return said
    others = (
        f"{tried['endpoint']}: {tried.get('detail') or tried['outcome']}" for tried in completion.get("tried", ())
    )
    return "; ".join([f"{completion['endpoint']}: {said}", *others])


def remedy(failure: str) -> str:
    """What to do about a call that got no answer, based on its outcome."""
    return next((advice for pattern, advice in _REMEDIES if re.search(pattern, failure)), "Check the endpoint.")
