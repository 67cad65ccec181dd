"""Tokens as an endpoint counts them, brought to one form: cached and written tokens are part of the prompt, reasoning
tokens part of the completion.

Providers differ. DeepSeek and Anthropic have names of their own for cached tokens; Anthropic counts them beside its
input_tokens, and so do some models of xAI; xAI and Gemini count reasoning beside completion_tokens and inside
total_tokens. A count that is missing, a text or a float is unknown, which is not 0.
"""

from typing import Any, NamedTuple

from llmctx import canonical

_BESIDE = frozenset({"cache_read_input_tokens", "cache_creation_input_tokens"})
_NONE: dict[str, Any] = {}


class Usage(NamedTuple):
    """Token counts of a call; None is unknown."""

    prompt: int
    """Prompt tokens, cached and written ones included."""
    completion: int
    """Completion tokens, reasoning included."""
    cached: int | None = None
    """Prompt tokens that were read from the provider's cache."""
    reasoning: int | None = None
    """Completion tokens that were spent on reasoning."""
    cache_write: int | None = None
    """Prompt tokens that were written to the provider's cache."""


def read_usage(value: Any) -> Usage | None:
    """Return the counts of a response's usage block; None if prompt or completion is unknown."""
    if not isinstance(value, dict):
        return None
    prompt = _count(value.get("prompt_tokens", value.get("input_tokens")))
    completion = _count(value.get("completion_tokens", value.get("output_tokens")))
    if prompt is None or completion is None:
        return None
    of_prompt = _details(value, "prompt_tokens_details", "input_tokens_details")
    cached = _largest(
        of_prompt.get("cached_tokens"),  # OpenAI, xAI, OpenRouter, vLLM
        value.get("prompt_cache_hit_tokens"),  # DeepSeek
        value.get("cache_read_input_tokens"),  # Anthropic, LiteLLM
        value.get("cached_tokens"),  # Moonshot
    )
    written = _largest(of_prompt.get("cache_write_tokens"), value.get("cache_creation_input_tokens"))
    of_completion = _details(value, "completion_tokens_details", "output_tokens_details")
    reasoning = _count(of_completion.get("reasoning_tokens"))
    total = _count(value.get("total_tokens")) or 0
    counted, beside = prompt + completion, (cached or 0) + (written or 0)
    if beside > prompt or ("prompt_tokens" not in value and not _BESIDE.isdisjoint(value)):
        prompt += beside
        counted = prompt + completion if total >= prompt + completion else counted
    if beside := max(total - counted, reasoning if reasoning and reasoning > completion else 0):
        completion += beside
        reasoning = reasoning or beside
    return Usage(prompt, completion, cached, reasoning, written)


def _details(value: dict[str, Any], *names: str) -> dict[str, Any]:
    for name in names:
        if isinstance(found := value.get(name), dict):
            return found
    return _NONE


def _largest(*counts: Any) -> int | None:
    """The largest of these counts: proxies fill in zeros beside a provider's own name."""
    known = None
    for count in counts:
        if type(count) is int and 0 <= count <= canonical.MAX_SAFE_INTEGER and (known is None or count > known):
            known = count
    return known


def _count(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value <= canonical.MAX_SAFE_INTEGER else None
