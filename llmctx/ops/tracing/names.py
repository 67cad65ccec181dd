"""The names that spans use, in one table: of generative AI by semantic-conventions-genai v0.1.0, and our own.

The conventions are in development, so names may change with their next version: they are written nowhere else.
"""

from enum import StrEnum

from llmctx.llm.native.api import Api

CONVENTIONS = "semantic-conventions-genai v0.1.0"
"""The version of the conventions that `GenAI` follows."""


class GenAI(StrEnum):
    """Attributes and events of a call to a model, by the conventions."""

    OPERATION = "gen_ai.operation.name"
    PROVIDER = "gen_ai.provider.name"
    SERVER_ADDRESS = "server.address"
    SERVER_PORT = "server.port"
    ERROR = "error.type"
    PROMPT_NAME = "gen_ai.prompt.name"
    PROMPT_VERSION = "gen_ai.prompt.version"
    OUTPUT_TYPE = "gen_ai.output.type"
    REQUEST_MODEL = "gen_ai.request.model"
    TEMPERATURE = "gen_ai.request.temperature"
    TOP_P = "gen_ai.request.top_p"
    SEED = "gen_ai.request.seed"
    MAX_TOKENS = "gen_ai.request.max_tokens"
    REASONING_LEVEL = "gen_ai.request.reasoning.level"
    RESPONSE_MODEL = "gen_ai.response.model"
    RESPONSE_ID = "gen_ai.response.id"
    FINISH_REASONS = "gen_ai.response.finish_reasons"
    INPUT_TOKENS = "gen_ai.usage.input_tokens"
    OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
    CACHE_READ_TOKENS = "gen_ai.usage.cache_read.input_tokens"
    CACHE_WRITE_TOKENS = "gen_ai.usage.cache_write.input_tokens"
    REASONING_TOKENS = "gen_ai.usage.reasoning.output_tokens"
    INPUT_MESSAGES = "gen_ai.input.messages"
    OUTPUT_MESSAGES = "gen_ai.output.messages"
    SYSTEM_INSTRUCTIONS = "gen_ai.system_instructions"
    EVALUATION = "gen_ai.evaluation.result"
    EVALUATION_NAME = "gen_ai.evaluation.name"
    EVALUATION_LABEL = "gen_ai.evaluation.score.label"
    EVALUATION_SCORE = "gen_ai.evaluation.score.value"
    EVALUATION_EXPLANATION = "gen_ai.evaluation.explanation"


class Ours(StrEnum):
    """Attributes of a tick that no convention names."""

    TICK = "llmctx.tick.id"
    CONFLATED = "llmctx.tick.conflated"
    SYMBOL = "llmctx.symbol"
    CAUSE = "llmctx.cause"
    PARTITION = "llmctx.partition"
    INDEX = "llmctx.index"
    KIND = "llmctx.kind"
    ACTION = "llmctx.verdict.action"
    GUARDS = "llmctx.verdict.guards"
    STALE = "llmctx.sections.not_fresh"
    ATTEMPTS = "llmctx.call.attempts"


REQUEST_PARAMETERS = {
    "temperature": (GenAI.TEMPERATURE, float),
    "top_p": (GenAI.TOP_P, float),
    "seed": (GenAI.SEED, int),
    "max_completion_tokens": (GenAI.MAX_TOKENS, int),
    "max_tokens": (GenAI.MAX_TOKENS, int),
    "reasoning_effort": (GenAI.REASONING_LEVEL, str),
}
"""Request parameter -> its attribute and type; a record keeps decimals as strings."""
USAGE = {
    "prompt": GenAI.INPUT_TOKENS,
    "completion": GenAI.OUTPUT_TOKENS,
    "cached": GenAI.CACHE_READ_TOKENS,
    "cache_write": GenAI.CACHE_WRITE_TOKENS,
    "reasoning": GenAI.REASONING_TOKENS,
}
"""Count in a record's usage -> its attribute."""
NO_REASON = "error"
"""The finish reason of a generation that ended without one."""
SYSTEM_APART = (Api.ANTHROPIC, Api.BEDROCK)
"""The protocols in which system instructions are no message of the chat history."""
PROVIDERS = {
    "api.openai.com": "openai",
    "openai.azure.com": "azure.ai.openai",
    "api.anthropic.com": "anthropic",
    "api.mistral.ai": "mistral_ai",
    "api.deepseek.com": "deepseek",
    "api.groq.com": "groq",
    "api.perplexity.ai": "perplexity",
    "api.x.ai": "x_ai",
    "api.cohere.com": "cohere",
    "api.moonshot.ai": "moonshot_ai",
    "generativelanguage.googleapis.com": "gcp.gemini",
    "aiplatform.googleapis.com": "gcp.vertex_ai",
    "amazonaws.com": "aws.bedrock",
}
"""End of an endpoint's host -> provider; any other endpoint is named by its host."""
