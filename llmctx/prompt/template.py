"""Prompt templates: files NAME/vN.md.j2 with YAML front matter, a `system:` part and a `user:` part.

Rules of order: the source is split into its parts before anything is rendered, so no value can open a role; the
digest covers the source and everything it includes; a published version is never edited, a new one is added.
"""

import re
from functools import cached_property
from pathlib import Path
from typing import Literal

from jinja2.meta import find_undeclared_variables
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from llmctx import canonical
from llmctx.errors import TemplateError
from llmctx.prompt.check import check
from llmctx.prompt.compiled import SUFFIX, CompiledTemplate
from llmctx.prompt.sources import FRONT_MATTER, collect

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
    """The optional sections that it shows, if a package has them."""


class Template(CompiledTemplate):
    """One version of a prompt, ready to be rendered."""

    front_matter: FrontMatter

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

    def _use(self, front_matter: object) -> None:
        try:
            self.front_matter = FrontMatter.model_validate(front_matter)
        except ValidationError as error:
            problem = error.errors()[0]
            where = ".".join(str(part) for part in problem["loc"])
            raise self._error(1, f"front matter, {where or 'as a whole'}: {problem['msg']}") from error
        said = f"{self.front_matter.name}/v{self.front_matter.version}"
        if said != self.ref:
            raise self._error(1, f"the front matter says {said}, the file is {self.ref}")


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
