"""What to do about calls that get no answer: key, path, rate and quota each have a remedy."""

import re

_REMEDIES = (
    (r"insufficient_quota", "The account has no quota left: raise it with the provider, or name another --endpoint."),
    (r"http 429", "The rate limit is reached: ask fewer at once with --concurrency, or wait."),
    (r"http 40[13]", "See that the API key is right and may use the model: LLMCTX_LLM__API_KEY or OPENAI_API_KEY."),
    (r"http 404", "See that the endpoint's path (it mostly ends in /v1) and the model's name are right."),
    (r"http 4\d\d", "The endpoint does not take the request, and says why; another --model may."),
    (r"http 5\d\d", "The endpoint has troubles of its own: try again later."),
    (r"deadline", "Ask fewer at once with --concurrency, or give more time with LLMCTX_LLM__TIMEOUT_S."),
)


def remedy(detail: str) -> str:
    """What to do about a call that got no answer, by what is known of it."""
    return next((told for found, told in _REMEDIES if re.search(found, detail)), "See that the endpoint answers.")
