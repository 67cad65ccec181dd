"""The protocols that endpoints speak."""

from enum import StrEnum


class Api(StrEnum):
    """The protocol of an endpoint."""

    CHAT = "chat"
    """OpenAI's chat completions, which most servers speak."""
    RESPONSES = "responses"
    """OpenAI's Responses API."""
    ANTHROPIC = "anthropic"
    """Anthropic's Messages API."""
    BEDROCK = "bedrock"
    """Converse of Amazon Bedrock."""
