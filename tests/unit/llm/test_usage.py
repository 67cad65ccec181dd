"""The usage blocks of providers, as their documents show them, counted to the token and priced."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmctx.llm.price import Price
from llmctx.llm.usage import Usage, read_usage

PRICE = Price(input=Decimal(3), cached=Decimal("0.3"), cache_write=Decimal("3.75"), output=Decimal(15))
"""Per million tokens, so the costs below are in millionths."""

BLOCKS: dict[str, tuple[dict[str, Any], Usage, str]] = {
    "OpenAI: cached and reasoning are inside": (
        {
            "prompt_tokens": 2006, "completion_tokens": 300, "total_tokens": 2306,
            "prompt_tokens_details": {"cached_tokens": 1920, "cache_write_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 256, "audio_tokens": 0},
        },
        Usage(2006, 300, 1920, 256, 0),
        "5334",  # 86 * 3 + 1920 * 0.3 + 300 * 15
    ),
    "OpenAI, Responses API": (
        {
            "input_tokens": 75, "output_tokens": 1186, "total_tokens": 1261,
            "input_tokens_details": {"cached_tokens": 25}, "output_tokens_details": {"reasoning_tokens": 1024},
        },
        Usage(75, 1186, 25, 1024),
        "17947.5",  # 50 * 3 + 25 * 0.3 + 1186 * 15
    ),
    "DeepSeek: names of its own": (
        {
            "prompt_tokens": 1000, "completion_tokens": 120, "total_tokens": 1120,
            "prompt_cache_hit_tokens": 896, "prompt_cache_miss_tokens": 104,
            "completion_tokens_details": {"reasoning_tokens": 80},
        },
        Usage(1000, 120, 896, 80),
        "2380.8",  # 104 * 3 + 896 * 0.3 + 120 * 15
    ),
    "xAI: reasoning beside completion_tokens": (
        {
            "prompt_tokens": 2640, "completion_tokens": 182, "total_tokens": 3494,
            "prompt_tokens_details": {"text_tokens": 2640, "cached_tokens": 473},
            "completion_tokens_details": {"reasoning_tokens": 672}, "num_sources_used": 0,
        },
        Usage(2640, 854, 473, 672),
        "19452.9",  # 2167 * 3 + 473 * 0.3 + 854 * 15
    ),
    "xAI: some models count cached tokens beside prompt_tokens": (
        {
            "prompt_tokens": 4142, "completion_tokens": 100, "total_tokens": 4242,
            "prompt_tokens_details": {"cached_tokens": 4328},
            "completion_tokens_details": {"reasoning_tokens": 0},
        },
        Usage(8470, 100, 4328, 0),
        "15224.4",  # 4142 * 3 + 4328 * 0.3 + 100 * 15
    ),
    "Gemini: reasoning in total_tokens alone": (
        {"prompt_tokens": 20, "completion_tokens": 151, "total_tokens": 553},
        Usage(20, 533, None, 382),
        "8055",  # 20 * 3 + 533 * 15
    ),
    "Gemini: nothing but reasoning": (
        {
            "prompt_tokens": 21, "completion_tokens": 0, "total_tokens": 81,
            "completion_tokens_details": {"reasoning_tokens": 60},
        },
        Usage(21, 60, None, 60),
        "963",  # 21 * 3 + 60 * 15
    ),
    "Anthropic: cached and written tokens beside input_tokens": (
        {
            "input_tokens": 50, "cache_creation_input_tokens": 248, "cache_read_input_tokens": 100_000,
            "output_tokens": 503, "service_tier": "standard",
        },
        Usage(100_298, 503, 100_000, None, 248),
        "38625",  # 50 * 3 + 248 * 3.75 + 100000 * 0.3 + 503 * 15
    ),
    "LiteLLM before Anthropic: the same, inside": (
        {
            "prompt_tokens": 98_805, "completion_tokens": 5120, "total_tokens": 103_925,
            "prompt_tokens_details": {"cached_tokens": 66_360, "cache_creation_tokens": 32_435, "text_tokens": None},
            "cache_read_input_tokens": 66_360, "cache_creation_input_tokens": 32_435,
            "completion_tokens_details": {"reasoning_tokens": 1710},
        },
        Usage(98_805, 5120, 66_360, 1710, 32_435),
        "218369.25",  # 10 * 3 + 32435 * 3.75 + 66360 * 0.3 + 5120 * 15
    ),
    "OpenRouter": (
        {
            "prompt_tokens": 194, "completion_tokens": 2, "total_tokens": 196, "cost": 0.95,
            "prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 100, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0},
        },
        Usage(194, 2, 0, 0, 100),
        "687",  # 94 * 3 + 100 * 3.75 + 2 * 15
    ),
    "Mistral, llama.cpp, Ollama: no details": (
        {"prompt_tokens": 16, "completion_tokens": 34, "total_tokens": 50},
        Usage(16, 34),
        "558",  # 16 * 3 + 34 * 15
    ),
    "details of null": (
        {"prompt_tokens": 16, "completion_tokens": 34, "prompt_tokens_details": None},
        Usage(16, 34),
        "558",
    ),
}  # fmt: skip


@pytest.mark.parametrize("provider", BLOCKS)
def test_the_tokens_of_a_provider_are_counted_and_priced(provider: str) -> None:
    block, usage, millionths = BLOCKS[provider]
    assert read_usage(block) == usage
    assert PRICE.of(usage) * 1_000_000 == Decimal(millionths)


@pytest.mark.parametrize("name", ["prompt_tokens", "completion_tokens"])
@pytest.mark.parametrize("count", [None, "12", 12.0, True, -1, 2**60, [12]])
def test_a_count_that_is_no_whole_number_makes_the_usage_unknown(name: str, count: Any) -> None:
    assert read_usage({"prompt_tokens": 7, "completion_tokens": 3} | {name: count}) is None


@pytest.mark.parametrize("block", [None, [], "many", 12, {}, {"total_tokens": 12}])
def test_a_block_without_counts_is_unknown(block: Any) -> None:
    assert read_usage(block) is None


@pytest.mark.parametrize(
    "details", [[], "many", {"cached_tokens": None}, {"cached_tokens": "9"}, {"cached_tokens": 9.0}]
)
def test_a_detail_that_is_no_count_is_unknown_and_not_zero(details: Any) -> None:
    assert read_usage({"prompt_tokens": 7, "completion_tokens": 3, "prompt_tokens_details": details}) == Usage(7, 3)


counts = st.integers(0, 10**6)


@given(prompt=counts, completion=counts, cached=counts, reasoning=counts, outside=st.booleans())
def test_no_token_is_lost_or_counted_twice(
    prompt: int, completion: int, cached: int, reasoning: int, outside: bool
) -> None:
    cached, inside = min(cached, prompt), min(reasoning, completion)
    usage = read_usage(
        {
            "prompt_tokens": prompt,
            "completion_tokens": completion - (0 if not outside else inside),
            "total_tokens": prompt + completion,
            "prompt_tokens_details": {"cached_tokens": cached},
            "completion_tokens_details": {"reasoning_tokens": inside},
        }
    )
    assert usage == Usage(prompt, completion, cached, inside)
