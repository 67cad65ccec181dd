"""The ways of asking an endpoint for one JSON object."""

from enum import StrEnum


class Mode(StrEnum):
    """How an endpoint is asked for an answer in a given form."""

    SCHEMA = "schema"
    """By a strict JSON schema with the keywords that every strict endpoint accepts."""
    SCHEMA_BOUNDED = "schema_bounded"
    """By a strict JSON schema with lengths, counts and ranges."""
    JSON_OBJECT = "json_object"
    """For any JSON object; the messages describe its form."""
    TOOL = "tool"
    """For one call of a tool whose arguments are the answer; the messages describe its form."""
    PROMPTED = "prompted"
    """By the messages alone."""


SENDS_SCHEMA = frozenset({Mode.SCHEMA, Mode.SCHEMA_BOUNDED})
"""The modes in which the endpoint itself enforces the schema."""
BOUNDED = frozenset({Mode.SCHEMA_BOUNDED})
"""The modes that send the bounds."""
