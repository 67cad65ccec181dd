"""Prompt templates: files NAME/vN.md.j2 with YAML front matter, a `system:` part and a `user:` part.

Rules of order: the source is split into its parts before anything is rendered, so no value can open a role; the
digest covers the source and everything it includes; a published version is never edited, a new one is added.
"""

import re
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple

import yaml
from jinja2 import Template as JinjaTemplate
from jinja2 import TemplateSyntaxError, nodes
from jinja2.meta import find_undeclared_variables
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from llmctx import canonical
from llmctx.errors import TemplateError
from llmctx.limits import MAX_NAME_CHARS
from llmctx.prompt.check import check
from llmctx.prompt.sandbox import Sandbox
from llmctx.prompt.sources import FRONT_MATTER, collect

SUFFIX = ".md.j2"
MAIN_PART = "<template>"
"""The file name in errors from the template itself; errors from an include have its own name."""

_ROLE = re.compile(r"^(system|user):[ \t]*$", re.MULTILINE)
_TOO_NESTED = (SyntaxError, RecursionError)
"""What compiling raises for too many levels of loops, blocks or parentheses."""
_VERSION = re.compile(r"v([1-9][0-9]*)\Z")


class Parameters(BaseModel):
    """Request parameters beside the messages; unset ones are not sent."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    temperature: float | None = Field(None, ge=0, le=2)
    """Sampling temperature."""
    top_p: float | None = Field(None, gt=0, le=1)
    """Nucleus sampling."""
    seed: int | None = None
    """Seed, for endpoints that support one."""
    max_completion_tokens: int | None = Field(None, ge=1)
    """Length limit of the answer, in tokens."""
    max_tokens: int | None = Field(None, ge=1)
    """The same under its older name, for endpoints that know only that one."""
    reasoning_effort: str | None = None
    """How much effort a reasoning model spends."""


class FrontMatter(BaseModel):
    """The front matter of a template."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    """Its folder's name."""
    version: int = Field(ge=1)
    """Its file's number."""
    description: str
    """Its purpose, in one sentence."""
    parameters: Parameters = Parameters()
    """The request parameters."""
    output: str
    """The name of the schema that the answer must fit."""
    paths: Literal["dotted", "quoted"] = "dotted"
    """How facts are named: dotted as in the first templates, or quoted, so that every path can be cited."""
    shows: tuple[Literal["portfolio", "memory"], ...] = ()
    """The optional sections that it shows, where a package has them."""


class _OnceLoader(yaml.SafeLoader):
    """A safe YAML loader that rejects duplicate names."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names = [repr(self.construct_object(key, deep=True)) for key, _ in node.value]
        if len(set(names)) != len(names):
            raise yaml.YAMLError(f"duplicate name among {', '.join(names)}")
        return super().construct_mapping(node, deep)


class Part(NamedTuple):
    """One message of a template, not yet rendered."""

    role: str
    """system or user."""
    template: JinjaTemplate
    """Its compiled source; line numbers are those of the file."""
    fixed: str | None = None
    """Its text if it uses no values and so is the same for every package; otherwise None."""


class Template:
    """One version of a prompt, ready to be rendered."""

    def __init__(self, ref: str, sources: dict[str, str]) -> None:
        """`ref` is NAME/vN; `sources` holds the template and all it includes, by file name.

        Raises TemplateError for a template that cannot be used, naming file and line.
        """
        if len(ref) > MAX_NAME_CHARS:
            raise TemplateError(f"The prompt's name has more than {MAX_NAME_CHARS} characters.", "Rename its folder.")
        self.ref = ref
        self.sources = sources
        self._file = ref + SUFFIX
        self.front_matter, body, first_line = self._read_front_matter()
        self.sandbox = Sandbox(sources)
        """Where it runs."""
        self._compile_includes()
        self.parts = self._compile(body, first_line)

    def of(self, _symbol: str) -> "Template":
        """The template itself: alone it is every symbol's choice (`prompt/book`)."""
        return self

    @property
    def templates(self) -> tuple["Template", ...]:
        """The template itself."""
        return (self,)

    @cached_property
    def bundle(self) -> bytes:
        """The template as one blob: its name, and the source of everything it includes."""
        return _bundle(self.ref, self.sources)

    @cached_property
    def sha256(self) -> str:
        """The digest that names this exact template."""
        return canonical.sha256(self.bundle)

    @classmethod
    def from_bundle(cls, bundle: bytes) -> "Template":
        """Load a template from a blob, as replay does, after it was checked (`prompt/check`).

        Raises TemplateError where the blob is no template.
        """
        try:
            document = canonical.loads(bundle)
            return _checked(document["ref"], document["sources"])
        except (ValueError, KeyError, TypeError) as error:
            raise TemplateError(
                f"The blob {canonical.sha256(bundle)} is not a template: {error}.",
                "`llmctx verify` tells whether the trail was altered.",
            ) from error

    def names(self) -> set[str]:
        """Every name that the template and its includes use."""
        asked: set[str] = set()
        for source in self.sources.values():
            asked |= find_undeclared_variables(self.sandbox.parse(FRONT_MATTER.sub("", source)))
        return asked

    def _read_front_matter(self) -> tuple[FrontMatter, str, int]:
        source = self.sources[self._file]
        match = FRONT_MATTER.match(source)
        if match is None:
            raise self._error(1, "the file does not begin with YAML front matter between two lines of ---")
        try:
            front_matter = FrontMatter.model_validate(yaml.load(match[1], _OnceLoader))  # noqa: S506  a SafeLoader
        except ValidationError as error:
            problem = error.errors()[0]
            where = ".".join(str(part) for part in problem["loc"])
            raise self._error(1, f"front matter, {where or 'as a whole'}: {problem['msg']}") from error
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            raise self._error(1, f"the front matter is no YAML: {error}") from error
        said = f"{front_matter.name}/v{front_matter.version}"
        if said != self.ref:
            raise self._error(1, f"the front matter says {said}, the file is {self.ref}")
        return front_matter, source[match.end() :], source[: match.end()].count("\n") + 1

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
                compiled = self.sandbox.from_string(source)
            except TemplateSyntaxError as error:
                raise self._error(error.lineno, error.message or "syntax error") from error
            except _TOO_NESTED as error:
                raise self._error(first_line, f"it is nested too deeply ({error})") from error
            parts.append(Part(mark[1], compiled, _fixed(self.sandbox.parse(source))))
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


def load_template(folder: Path, name: str, state_dir: Path | None = None) -> Template:
    """Load NAME/vN from a folder, or the newest version of NAME, after it was checked (`prompt/check`).

    A state directory remembers which templates were. Raises TemplateError if it does not exist or is unusable.
    """
    if not name:
        raise TemplateError(f"{name!r} is not a prompt name.", "Write NAME or NAME/vN, as in position/v1.")
    ref = name if "/" in name else newest(folder, name)
    return _checked(ref, collect(folder, ref + SUFFIX, f"--prompt {name}"), state_dir)


def _checked(ref: str, sources: dict[str, str], state_dir: Path | None = None) -> Template:
    check(ref, sources, canonical.sha256(_bundle(ref, sources)), state_dir)
    return Template(ref, sources)


def _bundle(ref: str, sources: dict[str, str]) -> bytes:
    return canonical.dumps({"ref": ref, "sources": sources})


def versions_of(folder: Path) -> list[str]:
    """List every NAME/vN of a folder, versions in numerical order."""
    found = [
        (file.parent.name, int(match[1]))
        for file in folder.glob(f"*/v*{SUFFIX}")
        if (match := _VERSION.match(file.name.removesuffix(SUFFIX)))
    ]
    return [f"{name}/v{version}" for name, version in sorted(found)]


def newest(folder: Path, name: str) -> str:
    """The newest version of a name in a folder, as NAME/vN.

    Raises TemplateError if there is none.
    """
    versions = [
        int(match[1])
        for file in folder.glob(f"{name}/v*{SUFFIX}")
        if (match := _VERSION.match(file.name.removesuffix(SUFFIX)))
    ]
    if not versions:
        known = sorted({file.parent.name for file in folder.glob(f"*/v*{SUFFIX}")})
        raise TemplateError(
            f"There is no prompt {name!r} in {folder}.",
            f"Name one of: {', '.join(known) or '(the folder is empty)'}; or set --prompts DIR.",
        )
    return f"{name}/v{max(versions)}"
