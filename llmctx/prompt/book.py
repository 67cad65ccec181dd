"""Which template a symbol uses, and newer versions that appear on disk while the service runs.

A new version is used once it passes the checks of a first load; until then the old one stays in use, and a warning says
why. An edit of a file never replaces a version in use: versions are added, not edited.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Protocol

from llmctx.errors import TemplateError
from llmctx.prompt.template import Template, load_template, newest

_log = logging.getLogger(__name__)

REFRESH_S = 2.0
"""How often the folder is looked at."""


class PromptChoice(Protocol):
    """Anything that knows the template of each symbol: a book, or a single template."""

    def of(self, symbol: str) -> Template:
        """The template that a symbol uses now."""
        ...

    @property
    def templates(self) -> tuple[Template, ...]:
        """Every template that is in use now."""
        ...


class PromptBook:
    """The templates of a folder by symbol, always the newest version that passed the checks."""

    def __init__(
        self,
        folder: Path,
        default: str,
        by_symbol: Mapping[str, str] | None = None,
        *,
        state_dir: Path | None = None,
        accept: Callable[[Template], None] = lambda _: None,
    ) -> None:
        """`default` is NAME or NAME/vN, and `by_symbol` the same by patterns such as BTC*, the first of which holds.

        `accept` raises TemplateError for a template that cannot be used. Raises TemplateError if one of the first is
        unusable.
        """
        self._folder, self._state_dir, self._accept = folder, state_dir, accept
        self._patterns = tuple((by_symbol or {}).items())
        self._default = default
        self._current = {name: self._load(name) for name in dict.fromkeys([default, *(by_symbol or {}).values()])}
        self._warned: set[str] = set()

    def of(self, symbol: str) -> Template:
        """The template that a symbol uses now."""
        name = next((name for pattern, name in self._patterns if fnmatchcase(symbol, pattern)), self._default)
        return self._current[name]

    @property
    def templates(self) -> tuple[Template, ...]:
        """Every template that is in use now."""
        return tuple(self._current.values())

    def refresh(self) -> None:
        """Use the newest version of each name given without one, if it is usable."""
        for name, template in list(self._current.items()):
            if "/" in name:
                continue
            try:
                ref = newest(self._folder, name)
                if ref == template.ref:
                    continue
                taken = self._load(ref)
            except TemplateError as error:
                self._warn(f"{template.ref} is still asked with: {error.what} {error.do}")
                continue
            self._current[name] = taken
            _log.warning(f"{taken.ref} is asked with from now on, instead of {template.ref}")

    async def watch(self) -> None:
        """Refresh until cancelled."""
        while True:
            await asyncio.sleep(REFRESH_S)
            await asyncio.to_thread(self.refresh)

    def _load(self, name: str) -> Template:
        template = load_template(self._folder, name, self._state_dir)
        self._accept(template)
        return template

    def _warn(self, text: str) -> None:
        if text not in self._warned:
            self._warned.add(text)
            _log.warning(text)
