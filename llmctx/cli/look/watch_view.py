"""How `llmctx watch` shows a package: a screen on a terminal, a line for each change elsewhere."""

from types import TracebackType
from typing import Any, Self

from llmctx.cli.shared.output import coloured, escape, out, print_json
from llmctx.clock import in_words, iso
from llmctx.context.facts import facts_of
from llmctx.context.package import Package
from llmctx.ops.changes import Change
from llmctx.prompt.render import text_of

_MAX_FACTS = 14


class Lines:
    """One line for each fact that changed."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def show(self, package: Package, changes: list[Change]) -> None:
        """Print what changed."""
        if not self._as_json and not changes:
            out.print(f"{package.symbol} as of {iso(package.as_of_ms)}; changes follow, one on each line.")
        for change in changes:
            if self._as_json:
                print_json({"as_of_ms": package.as_of_ms, **change._asdict()})
            else:
                text = f"{change.path}: {_text(change.before)} -> {_text(change.after)}"
                out.print(f"[dim]{iso(package.as_of_ms)}[/] {escape(text)}")


class Screen:
    """The whole package, redrawn on each change; what has just changed is highlighted."""

    def __init__(self) -> None:
        from rich.live import Live

        self._live = Live(console=out, auto_refresh=False, screen=True)

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.__exit__(kind, error, trace)

    def show(self, package: Package, changes: list[Change]) -> None:
        """Draw the package."""
        from rich.columns import Columns
        from rich.console import Group
        from rich.text import Text

        changed = {change.path for change in changes}
        head = Text.from_markup(f"[bold]{package.symbol}[/] as of {iso(package.as_of_ms)}  [dim]Ctrl-C stops it[/]")
        sections = [Text.from_markup(text) for text in _sections(package, changed)]
        self._live.update(Group(head, Columns(sections, padding=(0, 3))), refresh=True)


def _sections(package: Package, changed: set[str]) -> list[str]:
    texts = []
    for section in package.sections.values():
        age = "" if section.age_ms is None else f", {in_words(section.age_ms)} old"
        lines = [f"[bold]{section.name}[/]  {coloured(section.status)}{age}"]
        for fact in facts_of(section)[:_MAX_FACTS]:
            mark = "reverse" if fact.path in changed else "default"
            name = fact.path.removeprefix(f"{section.name}.")
            lines.append(f"  {escape(f'{name:<30}'[:44])} [{mark}]{escape(text_of(fact.value)[:40])}[/]")
        texts.append("\n".join(lines))
    return texts


def _text(value: Any) -> str:
    return "(absent)" if value is None else text_of(value)
