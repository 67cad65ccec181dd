"""The sandbox in which templates run: no randomness, no state, no undefined names, no output but text and numbers.

What a template renders must be the same every time, or a record could not be rebuilt. And it must not hold up the
service: each turn of a loop, call, filter and operator counts as a step, and more for what it makes. So the time that a
template takes is bounded in every branch, also in one that was never tried (`prompt/check`).
"""

import re
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from functools import wraps
from typing import Any

from jinja2 import DictLoader, Environment, StrictUndefined, TemplateSyntaxError, Undefined, nodes, pass_context
from jinja2 import Template as JinjaTemplate
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

MAX_STEPS = 250_000
"""How many steps one part of a template may take; most take a few hundred. These take some tenths of a second."""
MAX_WIDTH = 1000
"""The largest width to which a template may pad, wrap, indent or round, and the longest text that it may put between
others."""

_CHARACTERS_PER_STEP, _ITEM, _CALL = 100, 10, 1000
_MAX_NUMBER = 10**60
_WIDE = re.compile(r"\d{4}|\*")
_SLOW = {"wordwrap": 100}
"""How many times as long as reading it a filter takes for each character, if not 10 times."""
_WITH_WIDTH = {
    "center", "indent", "wordwrap", "batch", "slice", "truncate", "round", "tojson", "replace", "join",
    "ljust", "rjust", "zfill", "expandtabs",
}  # fmt: skip


class StepsError(SecurityError):
    """A template takes too many steps, or does something that could take unlimited time."""


class _Sources(DictLoader):
    """Templates by file name; errors name the file."""

    def get_source(self, environment: Environment, template: str) -> Any:
        source, _, is_current = super().get_source(environment, template)
        return source, template, is_current


class _Stateless(JinjaTemplate):
    """A template whose imports are created anew each time, so that no rendering affects the next."""

    def _get_default_module(self, ctx: Context | None = None) -> Any:
        return self.make_module(None if ctx is None else ctx.parent, shared=ctx is not None)


class _Counting(NodeTransformer):
    """Lets the sandbox count what it could not see otherwise: loop iterations, joined texts, captured blocks."""

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802  the name that Jinja calls
        self.generic_visit(node)
        fixed = sum(len(text.data) for text in node.find_all(nodes.TemplateData))
        node.iter = nodes.Filter(node.iter, "turns", [nodes.Const(fixed)], [], None, None, lineno=node.lineno)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802  as above
        self.generic_visit(node)
        return _called("joined", node.nodes, node.lineno)

    def visit_AssignBlock(self, node: nodes.AssignBlock) -> nodes.Node:  # noqa: N802  as above
        self.generic_visit(node)
        node.filter = nodes.Filter(node.filter, "string", [], [], None, None, lineno=node.lineno)
        return node

    def visit_Pow(self, node: nodes.Pow) -> nodes.Node:  # noqa: N802  as above
        raise TemplateSyntaxError("a power could be a number of any size; multiply instead", node.lineno)

    def visit_Filter(self, node: nodes.Filter) -> nodes.Node:  # noqa: N802  as above
        self.generic_visit(node)
        try:
            _check_width(node.name, [each.value for each in node.args if isinstance(each, nodes.Const)])
        except StepsError as error:
            raise TemplateSyntaxError(str(error), node.lineno) from error
        return node


def _called(name: str, args: list[Any], lineno: int) -> nodes.Call:
    return nodes.Call(nodes.EnvironmentAttribute(name), args, [], None, None, lineno=lineno)


class Sandbox(ImmutableSandboxedEnvironment):
    """The sandbox: no randomness, no state, no undefined names, no output but text and numbers, no long work."""

    template_class = _Stateless
    intercepted_binops = frozenset({"*", "+", "%"})

    def __init__(self, sources: dict[str, str]) -> None:
        self._steps = 0
        super().__init__(
            loader=_Sources(sources),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            finalize=self._shown,
        )
        for name in ("random", "urlize"):  # the latter's patterns may take unlimited time
            del self.filters[name]
        del self.globals["lipsum"]
        self.filters = {name: self._counted(name, apply) for name, apply in self.filters.items()}
        self.filters["turns"] = self.turns

    def begin(self) -> None:
        """Restart the count: one part is about to be rendered."""
        self._steps = 0

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

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Evaluate an operator that could make something large."""
        if operator == "%" and isinstance(left, str) and _WIDE.search(left):
            raise StepsError(f"formats to a width above {MAX_WIDTH - 1}")
        if operator == "*":
            for text, times in ((left, right), (right, left)):
                if isinstance(text, str | list | tuple) and isinstance(times, int):
                    self._count(len(text) * times)
        return self._made(super().call_binop(context, operator, left, right))

    def call(self, context: Context, obj: Any, *args: Any, **kwargs: Any) -> Any:
        """Call a function, a macro or a method of a text."""
        text = getattr(getattr(obj, "__wrapped__", obj), "__self__", None)  # Jinja wraps format
        if isinstance(text, str):
            name = getattr(obj, "__name__", "")
            if name in ("format", "format_map") and _WIDE.search(text):
                raise StepsError(f"formats to a width above {MAX_WIDTH - 1}")
            _check_width(name, (*args, *kwargs.values()))
        self._count(_CALL)
        return self._made(super().call(context, obj, *args, **kwargs))

    def get_template(self, name: Any, parent: Any = None, globals: Any = None) -> Any:  # noqa: A002  Jinja's name
        """Load an include, which counts as a call."""
        self._count(_CALL)
        return super().get_template(name, parent, globals)

    @pass_context  # so that it is never evaluated when the template is compiled
    def turns(self, _: Context, items: Iterable[Any], characters: int) -> Iterable[Any]:
        """The items of a loop, counted; each turn writes so many characters of its own."""
        if isinstance(items, list | tuple | range):
            self._count(len(items) * (_CHARACTERS_PER_STEP + characters))
            return items
        return self._each(items, characters)

    def _each(self, items: Iterable[Any], characters: int) -> Iterator[Any]:
        for item in items:
            self._count(characters)
            yield item

    def joined(self, *parts: Any) -> str:
        """The result of the operator ~."""
        return "".join(map(str, parts))

    def _generate(
        self, source: nodes.Template, name: str | None, filename: str | None, defer_init: bool = False
    ) -> str:
        counting: nodes.Template = _Counting().visit(source)
        counting.set_environment(self)
        return super()._generate(counting, name, filename, defer_init)

    def _counted(self, name: str, apply: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(apply)
        def counted(*args: Any, **kwargs: Any) -> Any:
            first = 2 if hasattr(apply, "jinja_pass_arg") else 1  # the context or environment, and the value
            if name == "format" and _WIDE.search(str(args[first - 1])):
                raise StepsError(f"formats to a width above {MAX_WIDTH - 1}")
            _check_width(name, (*args[first:], *kwargs.values()))
            self._count(len(value) * _SLOW.get(name, 10) if isinstance(value := args[first - 1], str) else 0)
            return self._made(apply(*args, **kwargs))

        return counted

    def _made(self, value: Any) -> Any:
        """An evaluated value: counted, and small enough."""
        if isinstance(value, int) and abs(value) > _MAX_NUMBER:
            raise StepsError(f"makes a number above 10^{len(str(_MAX_NUMBER)) - 1}")
        if isinstance(value, str):
            self._count(len(value))
        elif isinstance(value, list | tuple):
            self._count(len(value) * _ITEM)
        return value

    def _count(self, size: int) -> None:
        """Count a step, and one more for each hundred characters; items and calls count as characters do."""
        self._steps += 1 + size // _CHARACTERS_PER_STEP
        if self._steps > MAX_STEPS:
            raise StepsError(f"takes more than {MAX_STEPS} steps")

    def _shown(self, value: Any) -> Any:
        """Restrict the output of expressions: anything else would show Python's representation, addresses included."""
        if type(value) is str:  # nearly always, and many times in each rendering
            self._steps += 1 + len(value) // _CHARACTERS_PER_STEP
            if self._steps <= MAX_STEPS:
                return value
        if isinstance(value, str | int | float | Decimal | Undefined | None):
            return self._made(value)
        raise SecurityError(f"a {type(value).__name__} is not text")


def _check_width(name: str, args: Iterable[Any]) -> None:
    if name in _WITH_WIDTH:
        for value in args:
            if (isinstance(value, int) and abs(value) > MAX_WIDTH) or (
                isinstance(value, str) and len(value) > MAX_WIDTH
            ):
                raise StepsError(f"gives {name} a width or text above {MAX_WIDTH}")
