"""The command about prompt templates: prompts."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llmctx.cli.options import AsJson, PromptsDir, RedisUrl, StateDir
from llmctx.cli.output import escape, out, print_json, visible
from llmctx.cli.setup import settings_for
from llmctx.cli.sources import From, no_match, selection_of, source_of
from llmctx.errors import LlmctxError, ReplayError
from llmctx.settings import Settings

if TYPE_CHECKING:
    from llmctx.replay.corpus import Recorded

_FIRST = "kind=decision,limit=1"
_FORM = "Write `llmctx prompts`, `llmctx prompts diff A B --on SELECTION` or `llmctx prompts check`."


def prompts(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[diff A B | check [NAME]]",
            help="A and B are NAME/vN; vN alone is one of LLMCTX_PROMPT, or of position.",
        ),
    ] = None,
    on: Annotated[
        str | None,
        typer.Option(
            "--on",
            help="The records to render, as `llmctx replay --help` selects them; for diff the first one otherwise.",
        ),
    ] = None,
    prompts: PromptsDir = None,
    where: From = None,
    redis_url: RedisUrl = None,
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """List prompt versions, compare two of them on a record, or check all on recorded decisions.

    Alone: versions, digests, and how many records used each. diff: what two templates make of the same record (the
    first one, without --on), as lines that differ: - is A, + is B. check: renders every template on every record, and
    tells unknown fields, sizes, and whether what stands first in every request is long enough (1,024 tokens) for a
    provider to cache; exit code 1 where one does not render.

    \b
    llmctx prompts
    llmctx prompts diff position/v1 position/v2 --on 12
    llmctx prompts diff v1 v2 --from audit/corpus/demo.jsonl
    llmctx prompts check --from audit/corpus/demo.jsonl
    """
    settings = settings_for(redis_url, state_dir, prompts=prompts)
    match words or []:
        case []:
            asyncio.run(_list(settings, where, on or "all", as_json=as_json))
        case ["diff", first, second]:
            asyncio.run(_diff(settings, where, on or _FIRST, (first, second), as_json=as_json))
        case ["check"]:
            asyncio.run(_check(settings, where, on or "all", None, as_json=as_json))
        case ["check", name]:
            asyncio.run(_check(settings, where, on or "all", name, as_json=as_json))
        case other:
            raise ReplayError(f"{' '.join(other)!r} is nothing that prompts does.", _FORM)


async def _records(settings: Settings, where: Path | None, on: str, *, some: bool = True) -> list["Recorded"]:
    """The records that are meant; with `some` none at all is an error."""
    from llmctx.replay.source import select

    text, selection = selection_of(on)
    async with source_of(settings, where) as source:
        found = [entry async for entry in select(source, selection)]
        if some and not found:
            raise no_match(text, source, where)
    return found


async def _list(settings: Settings, where: Path | None, on: str, *, as_json: bool) -> None:
    from llmctx.prompt.template import load_template, versions_of

    used: Counter[str] = Counter()
    unread = None
    try:
        for entry in await _records(settings, where, on, some=False):
            used[entry.record.get("prompt", {}).get("template_sha256", "")] += 1
    except LlmctxError as error:
        if where is not None:
            raise
        unread = error.what  # no server, or no trail yet: the folder can be listed all the same
    for ref in versions_of(settings.prompts):
        template = load_template(settings.prompts, ref)
        count = used.pop(template.sha256, 0)
        if as_json:
            told = None if unread else count
            print_json({"prompt": ref, "sha256": template.sha256, "file": _file(settings, ref), "used": told})
        else:
            says = "" if unread else f"  used in {count} records"
            out.print(f"[bold]{ref:<16}[/] {template.sha256[:16]}{says}  {escape(template.front_matter.description)}")
    used.pop("", None)
    for digest, count in used.items():
        if as_json:
            print_json({"prompt": None, "sha256": digest, "file": None, "used": count})
        else:
            out.print(f"{'(not here)':<16} {digest[:16]}  used in {count} records; its source is kept with them")
    if unread and not as_json:
        out.print(f"[dim]Where they were used is not known: {escape(unread)}[/]")


def _file(settings: Settings, ref: str) -> str:
    return str(settings.prompts / f"{ref}.md.j2")


async def _diff(settings: Settings, where: Path | None, on: str, refs: tuple[str, str], *, as_json: bool) -> None:
    from llmctx.prompt.template import load_template
    from llmctx.replay.diff import diff
    from llmctx.replay.fitness import rendered, text_of

    templates = [load_template(settings.prompts, ref if "/" in ref else f"{_name(settings)}/{ref}") for ref in refs]
    shown = 0
    for entry in await _records(settings, where, on):
        prompts = [rendered(template, entry) for template in templates]
        if None in prompts:
            continue
        left, right = (text_of(prompt) for prompt in prompts if prompt is not None)
        rows, shown = diff(left, right), shown + 1
        if as_json:
            print_json(
                {"index": entry.index, "a": left, "b": right, "rows": sum(row.kind == "changed" for row in rows)}
            )
            continue
        a, b = (template.ref for template in templates)
        out.print(
            f"[bold]record {entry.index}, {escape(entry.record['symbol'])}[/]: [red]- {a}[/], {len(left)} characters; "
            f"[green]+ {b}[/], {len(right)} characters"
        )
        _print_rows(rows)
        if not rows:
            out.print("  the same, byte for byte")
    if not shown:
        raise ReplayError("None of these records could be asked about.", "Name others with --on.")
    if on == _FIRST and not as_json:
        out.print("[dim]The first record; --on SELECTION names others.[/]")


def _print_rows(rows: list[Any]) -> None:
    for row in rows:
        if row.kind == "gap":
            out.print(f"[dim]  ... {row.hidden} lines the same[/]")
            continue
        for mark, colour, line in (("-", "red", row.left), ("+", "green", row.right)):
            if line is None:
                continue
            text = visible("".join(span.text for span in line))
            if row.kind == "same":
                out.print(f"  {text}", markup=False)
                break
            out.print(f"{mark} {text}", style=colour, markup=False)


def _name(settings: Settings) -> str:
    return settings.prompt.partition("/")[0]


async def _check(settings: Settings, where: Path | None, on: str, name: str | None, *, as_json: bool) -> None:
    from llmctx.prompt.template import load_template, versions_of
    from llmctx.replay.fitness import fitness

    entries = await _records(settings, where, on)
    refs = versions_of(settings.prompts)
    if name is not None:
        refs = [ref for ref in refs if name in (ref, ref.partition("/")[0])] or [name]
    found = [fitness(load_template(settings.prompts, ref), entries) for ref in refs]
    for fit in found:
        if as_json:
            print_json(fit.as_dict())
        else:
            _print_fitness(fit)
    if not all(fit.fit for fit in found):
        raise typer.Exit(1)


def _print_fitness(fit: Any) -> None:
    out.print(
        f"[bold]{fit.ref}[/]  {'[green]renders[/]' if fit.fit else '[red]does not render[/]'} on {fit.rendered} records"
    )
    if fit.unknown:
        out.print(f"  unknown        {escape(', '.join(fit.unknown))}")
    for failure in fit.failures:
        out.print(f"  fails on       {escape(failure)}")
    if fit.failed > len(fit.failures):
        out.print(f"                 and {fit.failed - len(fit.failures)} more")
    out.print(
        f"  size           {fit.characters} characters, about {fit.tokens} tokens (median); largest {fit.largest}"
    )
    says = (
        f"{fit.cached:.0%} of each request can come from a provider's cache" if fit.cached else "too short to be cached"
    )
    out.print(f"  fixed prefix   {fit.fixed} characters, about {fit.fixed_tokens} tokens: {says}")
