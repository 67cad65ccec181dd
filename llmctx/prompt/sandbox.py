"""The sandbox in which templates run: no randomness, no state, no undefined names, no output but text and numbers.

What a template renders must be the same every time, or a record could not be rebuilt.
"""

from decimal import Decimal
from typing import Any

from jinja2 import DictLoader, Environment, StrictUndefined, Undefined
from jinja2 import Template as JinjaTemplate
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment


class _Sources(DictLoader):
    """Templates by file name; errors name the file."""

    def get_source(self, environment: Environment, template: str) -> Any:
        source, _, is_current = super().get_source(environment, template)
        return source, template, is_current


class _Stateless(JinjaTemplate):
    """A template whose imports are created anew each time, so that no rendering affects the next."""

    def _get_default_module(self, ctx: Context | None = None) -> Any:
        return self.make_module(None if ctx is None else ctx.parent, shared=ctx is not None)


class Sandbox(ImmutableSandboxedEnvironment):
    """The sandbox: no randomness, no state, no undefined names, no output but text and numbers."""

    template_class = _Stateless

    def __init__(self, sources: dict[str, str]) -> None:
        super().__init__(
            loader=_Sources(sources),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            finalize=_only_text,
        )
        del self.filters["random"]
        del self.globals["lipsum"]

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Read an attribute. Named fields skip the sandbox's checks, which cost more than a rendering."""
        if attribute in getattr(type(obj), "_fields", ()):
            return getattr(obj, attribute)
        return super().getattr(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """The same for filters: a named field of a tuple is unambiguous."""
        if type(argument) is str and argument in getattr(type(obj), "_fields", ()):
            return getattr(obj, argument)
        return super().getitem(obj, argument)


def _only_text(value: Any) -> Any:
    """Restrict the output of expressions: anything else would show Python's representation, addresses included."""
    if type(value) is str or isinstance(value, str | int | float | Decimal | Undefined | None):
        return value
    raise SecurityError(f"a {type(value).__name__} is not text")
