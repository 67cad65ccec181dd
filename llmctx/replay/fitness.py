"""Check a template on recorded decisions: whether it renders, how large it is, and what a provider can cache.

Tokens are estimated at four characters each, since no tokenizer is right for every model. Providers cache a prefix that
is the same in every request, from 1,024 tokens (OpenAI and compatible providers).
"""

import statistics
from collections.abc import Iterable, Mapping
from os.path import commonprefix
from typing import Any, NamedTuple

from llmctx.context.package import build_package
from llmctx.context.snapshot import NO_BLOBS, Snapshot
from llmctx.errors import TemplateError
from llmctx.prompt.render import Prompt, render, unknown_names
from llmctx.prompt.template import Template
from llmctx.trail.log.entry import Entry

CHARS_PER_TOKEN = 4
MIN_CACHED_TOKENS = 1_024
_MAX_FAILURES_SHOWN = 3


class Fitness(NamedTuple):
    """How a template does on some records."""

    ref: str
    """NAME/vN."""
    sha256: str
    """The digest of its source."""
    rendered: int
    """Number of records that it renders."""
    failures: tuple[str, ...]
    """Why it does not render others: the first three, each with its record."""
    failed: int
    """Number of records that it does not render."""
    unknown: tuple[str, ...]
    """Names that it uses but no package has."""
    characters: int
    """Median length of a rendering, in characters."""
    largest: int
    """Maximum length, in characters."""
    fixed: int
    """Length of the prefix shared by all renderings, in characters."""

    @property
    def tokens(self) -> int:
        """Estimated median size in tokens."""
        return self.characters // CHARS_PER_TOKEN

    @property
    def fixed_tokens(self) -> int:
        """Estimated size of the shared prefix in tokens."""
        return self.fixed // CHARS_PER_TOKEN

    @property
    def cached(self) -> float:
        """The share of a rendering that a provider can cache, 0 to 1; 0 if the shared prefix is too short."""
        return self.fixed / self.characters if self.fixed_tokens >= MIN_CACHED_TOKENS and self.characters else 0.0

    @property
    def fit(self) -> bool:
        """Whether it renders every record."""
        return not self.failed and not self.unknown

    def as_dict(self) -> dict[str, Any]:
        """Return the fitness as JSON values."""
        return self._asdict() | {
            "tokens": self.tokens,
            "fixed_tokens": self.fixed_tokens,
            "cached": round(self.cached, 4),
            "fit": self.fit,
        }


def fitness(template: Template, entries: Iterable[Entry], blobs: Mapping[str, bytes] = NO_BLOBS) -> Fitness:
    """Check a template on the records whose package can be asked about; `blobs` are those that they name."""
    texts: list[str] = []
    failures: list[str] = []
    for entry in entries:
        try:
            prompt = rendered(template, entry, blobs)
        except TemplateError as error:
            failures.append(f"record {entry.index}: {error.what}")
        else:
            if prompt is not None:
                texts.append(text_of(prompt))
    sizes = [len(text) for text in texts]
    return Fitness(
        ref=template.ref,
        sha256=template.sha256,
        rendered=len(texts),
        failures=tuple(failures[:_MAX_FAILURES_SHOWN]),
        failed=len(failures),
        unknown=tuple(unknown_names(template)),
        characters=int(statistics.median(sizes)) if sizes else 0,
        largest=max(sizes, default=0),
        fixed=len(commonprefix(texts)) if len(texts) > 1 else 0,  # noqa: RUF071  they are no paths
    )


def rendered(template: Template, entry: Entry, blobs: Mapping[str, bytes] = NO_BLOBS) -> Prompt | None:
    """Render a template with a record's data; None if the data cannot be asked about.

    Raises TemplateError if the template does not render.
    """
    if "snapshot" not in entry.record:
        return None
    package = build_package(Snapshot.from_evidence(entry.pieces["snapshot"], blobs))
    return None if package.refusal is not None else render(template, package)


def text_of(prompt: Prompt) -> str:
    """Return the messages as one text, in the order in which a provider reads them."""
    return "\n".join(f"{message.role}:\n{message.content}" for message in prompt.messages)
