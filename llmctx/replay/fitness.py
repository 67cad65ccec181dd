"""Fitness: how a template does on recorded decisions: whether it renders, how large it is, what a provider can cache.

Tokens are estimated at four characters each: no tokenizer is at hand that would be right for every model. What a
provider caches is a prefix that is the same in every request, from 1,024 tokens on (OpenAI, and others who follow it).
"""

import statistics
from collections.abc import Iterable
from typing import Any, NamedTuple

from llmctx.context.package import build_package
from llmctx.context.snapshot import Snapshot
from llmctx.errors import TemplateError
from llmctx.prompt.render import Prompt, render, unknown_names
from llmctx.prompt.template import Template
from llmctx.trail.log.entry import Entry

CHARACTERS_A_TOKEN = 4
CACHED_FROM_TOKENS = 1_024
_FAILURES_TOLD = 3


class Fitness(NamedTuple):
    """What a template comes to on some records."""

    ref: str
    """NAME/vN."""
    sha256: str
    """Its digest."""
    rendered: int
    """Records that it renders."""
    failures: tuple[str, ...]
    """Why it does not render others: the first three, each with its record."""
    failed: int
    """How many those are."""
    unknown: tuple[str, ...]
    """Names that it asks for and no package has."""
    characters: int
    """The median size of a rendering."""
    largest: int
    """The largest one."""
    fixed: int
    """Characters from the beginning on that are the same in every rendering."""

    @property
    def tokens(self) -> int:
        """The median size in tokens, estimated."""
        return self.characters // CHARACTERS_A_TOKEN

    @property
    def fixed_tokens(self) -> int:
        """The part that is the same everywhere, in tokens, estimated."""
        return self.fixed // CHARACTERS_A_TOKEN

    @property
    def cached(self) -> float:
        """The share of a rendering that a provider can take from its cache; 0 where the fixed part is too short."""
        return self.fixed / self.characters if self.fixed_tokens >= CACHED_FROM_TOKENS and self.characters else 0.0

    @property
    def fit(self) -> bool:
        """Whether it renders everything."""
        return not self.failed and not self.unknown

    def as_dict(self) -> dict[str, Any]:
        """The fitness as JSON has it."""
        return self._asdict() | {
            "tokens": self.tokens, "fixed_tokens": self.fixed_tokens, "cached": round(self.cached, 4), "fit": self.fit,
        }  # fmt: skip


def fitness(template: Template, entries: Iterable[Entry]) -> Fitness:
    """How a template does on the records that have a package which can be asked about."""
    texts: list[str] = []
    failures: list[str] = []
    for entry in entries:
        try:
            prompt = rendered(template, entry)
        except TemplateError as error:
            failures.append(f"record {entry.index}: {error.what}")
        else:
            texts += [] if prompt is None else [text_of(prompt)]
    sizes = [len(text) for text in texts]
    return Fitness(
        template.ref,
        template.sha256,
        len(texts),
        tuple(failures[:_FAILURES_TOLD]),
        len(failures),
        tuple(unknown_names(template)),
        int(statistics.median(sizes)) if sizes else 0,
        max(sizes, default=0),
        _common(texts),
    )


def _common(texts: list[str]) -> int:
    """How many characters from the beginning on are the same in all; 0 where there are not two to compare."""
    if len(texts) < 2:  # noqa: PLR2004
        return 0
    first, last = min(texts), max(texts)  # whatever these two share, all between them share
    return next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))


def rendered(template: Template, entry: Entry) -> Prompt | None:
    """What a template makes of a record's data; None where the data cannot be asked about.

    Raises TemplateError where the template does not render.
    """
    if "snapshot" not in entry.record:
        return None
    package = build_package(Snapshot.from_evidence(entry.pieces["snapshot"]))
    return None if package.refusal is not None else render(template, package)


def text_of(prompt: Prompt) -> str:
    """The messages as one text, in the order in which a provider reads them."""
    return "\n".join(f"{message.role}:\n{message.content}" for message in prompt.messages)
