"""The environment variables that settings have: what each sets, what is wrong with those given, and endpoints' keys."""

import ast
import inspect
import json
import os
import re
import textwrap
from collections.abc import Iterator
from itertools import pairwise
from types import UnionType
from typing import Any, NamedTuple, Union, get_args, get_origin
from urllib.parse import urlsplit

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined, to_jsonable_python

from llmctx.errors import LlmctxError
from llmctx.llm.endpoint_settings import EndpointSettings
from llmctx.llm.profile import ProfileSettings

_PREFIX, _PROFILE = "LLMCTX_", "LLMCTX_LLM__PROFILE"


class Variable(NamedTuple):
    """An environment variable and the field it sets."""

    name: str
    """The variable."""
    model: type[BaseModel]
    """The model with the field."""
    field: str
    """The field."""
    without: Any
    """The field's value if nothing sets it; None for a table, whose fields are variables as well."""

    @property
    def default(self) -> str:
        """The same as one would write it; "" for none."""
        if self.without is PydanticUndefined or self.without in (None, (), [], {}):
            return ""
        return json.dumps(to_jsonable_python(self.without)).strip('"')

    @property
    def tables(self) -> tuple[type[BaseModel], ...]:
        """The models whose fields are the field's own; () if it is a plain value."""
        return tuple(_models_in(self.model.model_fields[self.field]))

    @property
    def says(self) -> str:
        """What the field's docstring says."""
        return next(texts[self.field] for each in self.model.__mro__ if self.field in (texts := _docstrings(each)))


def variables(model: type[BaseModel], prefix: str, defaults: BaseModel | None = None) -> Iterator[Variable]:
    """The environment variables of a model's fields, and of the fields of models that these hold.

    `defaults` has the values that hold without them, if they are not the model's own.
    """
    for name, field in model.model_fields.items():
        default = field.default if defaults is None else getattr(defaults, name)
        inner_defaults = default if isinstance(default, BaseModel) else None
        yield Variable(f"{prefix}{name}".upper(), model, name, None if inner_defaults else default)
        for inner in _models_in(field):
            yield from variables(inner, f"{prefix}{name}__", inner_defaults)


def _models_in(field: FieldInfo) -> Iterator[type[BaseModel]]:
    members = get_args(field.annotation) if get_origin(field.annotation) in (Union, UnionType) else ()
    for inner in (field.annotation, *members):
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield inner


def _docstrings(model: type) -> dict[str, str]:
    """The text under each field of a class; {} for a class that is not ours."""
    if not model.__module__.startswith("llmctx."):
        return {}
    found = {}
    tree = ast.parse(textwrap.dedent(inspect.getsource(model)))
    body = next(node.body for node in ast.walk(tree) if isinstance(node, ast.ClassDef))
    for one, two in pairwise(body):
        match one, two:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                found[name] = " ".join(text.split())
    return found


def check_environment(known: set[str]) -> None:
    """Refuse an unknown LLMCTX_ variable, which may be misspelt; pydantic would ignore it.

    Raises LlmctxError that names it.
    """
    given = {name.upper() for name in os.environ if name.upper().startswith(_PREFIX)}
    parts = given & {each.name for each in variables(ProfileSettings, f"{_PROFILE}__")}
    if _PROFILE in given and parts:
        raise LlmctxError(
            f"{_PROFILE} and {min(parts)} are both set.",
            f"Name the profile with {_PROFILE}__NAME, or its mode with {_PROFILE}__MODE.",
        )
    if unknown := sorted(given - known):
        raise LlmctxError(f"There is no setting {unknown[0]}.", f"The settings are {', '.join(sorted(known))}.")


def endpoint_key(llm: EndpointSettings) -> str | None:
    """The API key of an endpoint: its own, or OPENAI_API_KEY for the SDK's default endpoint.

    Raises LlmctxError if the variable that key_env names is not set.
    """
    if llm.key_env is not None:
        if not (value := os.environ.get(llm.key_env)):
            # what stands there in place of a name may be the key
            named = llm.key_env if re.fullmatch("[A-Z_][A-Z0-9_]*", llm.key_env) else "The variable of llm.key_env"
            raise LlmctxError(f"{named}, which holds an endpoint's API key, is not set.", "Set it in the environment.")
        return value
    if llm.api_key is not None:
        return llm.api_key.get_secret_value()
    return os.environ.get("OPENAI_API_KEY") if _is_default(llm.base_url) else None


def withholds_key(llm: EndpointSettings) -> bool:
    """Whether OPENAI_API_KEY is set but not sent, because the endpoint is another one and has no key of its own."""
    given = llm.api_key is not None or llm.key_env is not None
    return not given and not _is_default(llm.base_url) and bool(os.environ.get("OPENAI_API_KEY"))


def _is_default(base_url: str | None) -> bool:
    """Whether this is the endpoint for which OPENAI_API_KEY is meant."""
    if base_url is None:
        return True  # the SDK's own, or OPENAI_BASE_URL, which is set together with the key
    try:
        parts = urlsplit(base_url)
        place = (parts.scheme, parts.hostname, parts.port)
    except ValueError:
        return False
    return place in (("https", "api.openai.com", None), ("https", "api.openai.com", 443))
