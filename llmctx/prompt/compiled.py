"""A template as it runs: its source split into parts, compiled and rendered, within limits of time and size.

It imports neither pydantic nor the schema, so the process in which a template is tried (`prompt/trial`) starts quickly.
"""

import re
from typing import Any, NamedTuple

import yaml
from jinja2 import Template as JinjaTemplate
from jinja2 import TemplateError as JinjaError
from jinja2 import TemplateSyntaxError, UndefinedError, nodes

from llmctx.errors import OutputSizeError, TemplateError
from llmctx.limits import MAX_NAME_CHARS
from llmctx.prompt.sandbox import Sandbox
from llmctx.prompt.sources import FRONT_MATTER

SUFFIX = ".md.j2"
MAX_CHARACTERS = 200_000
"""A template that renders to more than this is rejected."""

_MAIN_PART = "<template>"
"""The file name in errors from the template itself; errors from an include have its own name."""
_ROLE = re.compile(r"^(system|user):[ \t]*$", re.MULTILINE)
_SURROGATE = re.compile("[\ud800-\udfff]")
_TOO_NESTED = (SyntaxError, RecursionError)
"""The errors of compiling too many levels of loops, blocks or parentheses."""
_FAILURES = (JinjaError, ArithmeticError, TypeError, ValueError, LookupError, AttributeError, RecursionError)
"""The errors of rendering a template that does not fit its values."""


class _OnceLoader(yaml.SafeLoader):
    """A safe YAML loader that rejects duplicate names."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names = [repr(self.construct_object(key, deep=True)) for key, _ in node.value]
        if len(set(names)) != len(names):
            raise yaml.YAMLError(f"duplicate name among {', '.join(names)}")
        return super().construct_mapping(node, deep)


class SectionView(NamedTuple):
    """A section as a template sees it."""

    name: str
    """price, signals.entry, ..."""
    key: str
    """Its Redis key."""
    status: str
    """fresh, stale, empty, missing or invalid."""
    age: str
    """Its age in words; empty if it has no timestamp."""
    reason: str
    """Why it is invalid or empty; empty otherwise."""
    text: str
    """Its facts, one per line: `- path: value [unit]`; before them what is implausible about them."""
    title: str
    """`name: status`, with its age, and whether it is implausible."""
    body: str
    """Its facts, or the reason why it has none."""


class Part(NamedTuple):
    """One message of a template, not yet rendered."""

    role: str
    """system or user."""
    template: JinjaTemplate
    """Its compiled source; line numbers are those of the file."""
    fixed: str | None = None
    """Its text if it uses no values and so is the same for every package; otherwise None."""


class CompiledTemplate:
    """The parts of a template, ready to be rendered."""

    def __init__(self, ref: str, sources: dict[str, str]) -> None:
        """`ref` is NAME/vN; `sources` holds the template and all it includes, by file name.

        Raises TemplateError for a template that cannot be used, naming file and line.
        """
        if len(ref) > MAX_NAME_CHARS:
            raise TemplateError(f"The prompt's name has more than {MAX_NAME_CHARS} characters.", "Rename its folder.")
        self.ref = ref
        self.sources = sources
        self._file = ref + SUFFIX
        body, first_line = self._read_front_matter()
        self.sandbox = Sandbox(sources)
        """The sandbox that it runs in."""
        self._compile_includes()
        self.parts = self._compile(body, first_line)

    def render_part(self, part: Part, names: dict[str, Any]) -> str:
        """Render one part with these values for the names.

        Raises TemplateError if the template uses a missing name or field, and OutputSizeError beyond the size limit.
        """
        if part.fixed is not None and len(part.fixed) <= MAX_CHARACTERS:
            return part.fixed
        self.sandbox.begin()
        pieces: list[str] = []
        size = 0
        try:
            for piece in part.template.generate(names):
                size += len(piece)
                if size > MAX_CHARACTERS:
                    raise OutputSizeError(f"{self.ref}, {part.role} part", MAX_CHARACTERS)
                pieces.append(piece)
        except UndefinedError as error:
            raise self._rendering_error(part, f"unknown field: {error.message}", error) from error
        except _FAILURES as error:
            raise self._rendering_error(part, f"{type(error).__name__}: {error}", error) from error
        text = "".join(pieces).strip()
        if not text.isascii() and _SURROGATE.search(text):
            raise self._rendering_error(part, "renders a lone surrogate, which no message can carry")
        return text

    def _rendering_error(self, part: Part, what: str, cause: Exception | None = None) -> TemplateError:
        line = "" if cause is None else self._line(cause)
        where = f"{self.ref}, {part.role} part{line}"
        return TemplateError(f"{where}: {what}.", "Correct the template, or set another with --prompt NAME.")

    def _line(self, error: Exception) -> str:
        """Return the line on which rendering failed, with the file if it is an included one."""
        where, frame = "", error.__traceback__
        while frame is not None:
            file = frame.tb_frame.f_code.co_filename
            if file == _MAIN_PART:
                where = f", line {frame.tb_lineno}"
            elif file in self.sources:
                where = f", {file}, line {frame.tb_lineno}"
            frame = frame.tb_next
        return where

    def _use(self, front_matter: object) -> None:
        """Check and keep the front matter; here it is only read."""

    def _read_front_matter(self) -> tuple[str, int]:
        """Read the front matter; return the text after it, and the line on which that begins."""
        source = self.sources[self._file]
        match = FRONT_MATTER.match(source)
        if match is None:
            raise self._error(1, "the file does not begin with YAML front matter between two lines of ---")
        try:
            front_matter = yaml.load(match[1], _OnceLoader)  # noqa: S506  a SafeLoader
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            raise self._error(1, f"the front matter is no YAML: {error}") from error
        self._use(front_matter)
        return source[match.end() :], source[: match.end()].count("\n") + 1

    def _compile_includes(self) -> None:
        """Find errors in included files now rather than at the first decision."""
        for file in self.sources.keys() - {self._file}:
            try:
                self.sandbox.get_template(file)
            except TemplateSyntaxError as error:
                raise self._error(error.lineno, error.message or "syntax error", file) from error
            except _TOO_NESTED as error:
                raise self._error(1, f"it is nested too deeply ({error})", file) from error

    def _compile(self, body: str, first_line: int) -> tuple[Part, ...]:
        marks = list(_ROLE.finditer(body))
        if [mark[1] for mark in marks] != ["system", "user"]:
            raise self._error(first_line, "the body needs one line `system:` and after it one line `user:`")
        if body[: marks[0].start()].strip():
            raise self._error(first_line, "there is text before `system:`")
        parts = []
        for mark, end in zip(marks, [marks[1].start(), len(body)], strict=True):
            # Leading line ends keep the file's line numbers in errors; rendering strips them.
            padding = "\n" * (first_line - 1 + body.count("\n", 0, mark.end()))
            source = padding + body[mark.end() : end]
            try:
                parsed = self.sandbox.parse(source)
                fixed = _fixed(parsed)  # before it is compiled, which changes it
                parts.append(Part(mark[1], self.sandbox.from_string(parsed), fixed))
            except TemplateSyntaxError as error:
                raise self._error(error.lineno, error.message or "syntax error") from error
            except _TOO_NESTED as error:
                raise self._error(first_line, f"it is nested too deeply ({error})") from error
        return tuple(parts)

    def _error(self, line: int, what: str, file: str = "") -> TemplateError:
        return TemplateError(f"{file or self._file}, line {line}: {what}.", "Correct the template and try again.")


def _fixed(parsed: nodes.Template) -> str | None:
    """Return the text of a part that consists of text only; otherwise None."""
    texts = [text for output in parsed.body for text in output.iter_child_nodes()]
    if not all(isinstance(text, nodes.TemplateData) for text in texts):
        return None
    fixed = "".join(text.data for text in texts if isinstance(text, nodes.TemplateData)).strip()
    return fixed if fixed.isascii() else None  # other text is checked when rendered
