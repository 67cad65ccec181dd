"""The environment variables that settings have, and what is wrong with those that are given."""

import os
from types import UnionType
from typing import Union, get_args, get_origin

from pydantic import BaseModel

from llmctx.errors import LlmctxError
from llmctx.llm.profile import ProfileSettings

_PREFIX, _PROFILE = "LLMCTX_", "LLMCTX_LLM__PROFILE"


def variables(model: type[BaseModel], prefix: str) -> set[str]:
    """The environment variables of a model's fields, and of the fields of models that these hold."""
    found: set[str] = set()
    for name, field in model.model_fields.items():
        found.add(f"{prefix}{name}".upper())
        members = get_args(field.annotation) if get_origin(field.annotation) in (Union, UnionType) else ()
        for inner in (field.annotation, *members):
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                found |= variables(inner, f"{prefix}{name}__")
    return found


def check_environment(known: set[str]) -> None:
    """Refuse an unknown LLMCTX_ variable, which may be misspelt; pydantic would ignore it.

    Raises LlmctxError that names it.
    """
    given = {name.upper() for name in os.environ if name.upper().startswith(_PREFIX)}
    parts = given & variables(ProfileSettings, f"{_PROFILE}__")
    if _PROFILE in given and parts:
        raise LlmctxError(
            f"{_PROFILE} and {min(parts)} are both set.",
            f"Name the profile with {_PROFILE}__NAME, or its mode with {_PROFILE}__MODE.",
        )
    if unknown := sorted(given - known):
        raise LlmctxError(f"There is no setting {unknown[0]}.", f"The settings are {', '.join(sorted(known))}.")
