"""The page templates. This one place escapes every value and writes out its control characters."""

from datetime import datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from llmctx import canonical, clock
from llmctx.prompt.lines import text_of
from llmctx.version import VERSION
from llmctx.visible import visible

_HERE = Path(__file__).parent
STATIC = _HERE / "static"
"""The folder of style sheet and scripts."""
_NONE = "\N{EN DASH}"


def render(name: str, **values: Any) -> str:
    """Render a template of the console."""
    return _environment().get_template(f"{name}.html.j2").render(**values)


def compile_templates() -> None:
    """Compile every template, so that the first reader of a page need not wait for it."""
    for name in _environment().list_templates():
        _environment().get_template(name)


@cache
def static_text(name: str) -> str:
    """A style sheet or script."""
    return (STATIC / name).read_text(encoding="utf-8")


@cache
def static_version() -> str:
    """A name for the present style sheet and scripts, so that browsers may cache them."""
    return canonical.sha256("".join(static_text(path.name) for path in sorted(STATIC.iterdir())).encode())[:12]


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    environment.globals |= {"version": VERSION, "static_version": static_version, "static_text": static_text}
    environment.filters |= {
        "iso": lambda ms: _NONE if ms is None else clock.iso(ms),
        "clock_time": lambda ms: _NONE if ms is None else clock.iso(ms)[11:19],
        "day_time": lambda ms: _NONE if ms is None else clock.iso(ms)[5:19].replace("T", " "),
        "words": lambda ms: _NONE if ms is None else clock.in_short(int(ms)),
        "signed": _signed,
        "amount": _amount,
        "trimmed": lambda value: canonical.trimmed(str(value)),
        "fact": text_of,
        "path": lambda text: quote(text, safe=""),
        "code": _code,
        "pct": lambda share: _NONE if share is None else f"{share:.0%}",
        "thousands": lambda count: f"{count:,}",
    }
    return environment


def _shown(value: Any) -> Any:
    """The printed form of a value: text without control characters; safe markup stays as it is."""
    if value is None:
        return _NONE
    if isinstance(value, datetime):
        return clock.iso_of(value)
    return visible(value) if type(value) is str else value


def _code(text: str) -> Markup:
    """A text in which parts between backticks are commands."""
    parts = [escape(visible(part)) for part in text.split("`")]
    return Markup("").join(Markup("<code>{}</code>").format(part) if at % 2 else part for at, part in enumerate(parts))


def _signed(value: Decimal | float | None) -> str:
    """A profit or a loss, always with its sign."""
    if value is None:
        return _NONE
    return f"{value:+,.2f}".replace("-", "\N{MINUS SIGN}")


def _amount(value: Decimal | None) -> str:
    """A price or quantity without trailing zeros."""
    return _NONE if value is None else canonical.plain(value)
