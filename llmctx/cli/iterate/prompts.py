"""`llmctx prompts`: versions of prompt templates."""

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from llmctx.cli.shared.options import AsJson, From, PromptsDir, RedisUrl, StateDir
from llmctx.cli.shared.output import escape, out, print_json
from llmctx.cli.shared.setup import settings_for
from llmctx.cli.shared.sources import no_match, recordings_of, selection_of
from llmctx.errors import LlmctxError, ReplayError
from llmctx.prompt.template import load_template, versions_of
from llmctx.replay.diff import diff
from llmctx.replay.fitness import Fitness, fitness, rendered, text_of
from llmctx.settings import Settings
from llmctx.visible import visible

if TYPE_CHECKING:
    from llmctx.replay.corpus import BlobCache, Recorded
    from llmctx.replay.diff import Row

_FIRST = "kind=decision,limit=1"
_USAGE = "Write `llmctx prompts`, `llmctx prompts diff A B --on SELECTION` or `llmctx prompts check`."


def prompts(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="diff A B | check [NAME]",
            help="A and B are NAME/vN; vN alone is a version of LLMCTX_PROMPT, or of position.",
        ),
    ] = None,
    on: Annotated[
        str | None,
        typer.Option(
            "--on", help="The records to render, a selection as in `llmctx replay --help`. Default for diff: the first."
        ),
    ] = None,
    prompts: PromptsDir = None,
    where: From = None,
    redis_url: RedisUrl = None,
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """List, compare and check prompt versions.

    Without arguments: versions, digests, and how many records used each. diff renders two templates on the same record
    and shows the lines that differ: - is A, + is B. check renders every template on every record and reports unknown
    fields, sizes, and whether the fixed beginning is long enough (1,024 tokens) for a provider to cache. Exit code 1: a
    template does not render.

    \b
    llmctx prompts
    llmctx prompts diff position/v1 position/v2 --on 12
    llmctx prompts diff v1 v2 --from audit/corpus/demo.jsonl
    llmctx prompts check --from audit/corpus/demo.jsonl
    """
    records = _Records(settings_for(redis_url, state_dir, prompts=prompts), where, on)
    match words or []:
        case []:
            asyncio.run(_list(records, as_json=as_json))
        case ["diff", first, second]:
            asyncio.run(_diff(records, (first, second), as_json=as_json))
        case ["check", *names] if len(names) <= 1:
            asyncio.run(_check(records, *names, as_json=as_json))
        case other:
            raise ReplayError(f"`llmctx prompts` has no action {' '.join(other)!r}.", _USAGE)


class _Records(NamedTuple):
    """Where the records come from."""

    settings: Settings
    where: str | None
    """The export or corpus; None for the trail in Redis."""
    on: str | None
    """The selection; None for the command's default."""

    async def read(self, default: str, *, required: bool = True) -> "tuple[list[Recorded], BlobCache]":
        """The selected records and the blobs that they name; if `required`, no record at all is an error."""
        text, selection = selection_of(self.on or default)
        async with recordings_of(self.settings, self.where) as recordings:
            found = [entry async for entry in recordings.select(selection)]
            if required and not found:
                raise no_match(text, recordings, self.where)
        return found, recordings.blobs


async def _list(records: _Records, *, as_json: bool) -> None:
    folder, used, unread = records.settings.prompts, Counter[str](), None
    try:
        for entry in (await records.read("all", required=False))[0]:
            used[entry.record.get("prompt", {}).get("template_sha256", "")] += 1
    except LlmctxError as error:
        if records.where is not None:
            raise
        unread = error.what  # without a server or a trail the folder can still be listed
    for ref in versions_of(folder):
        template = load_template(folder, ref, records.settings.state_dir)
        count = used.pop(template.sha256, 0)
        if as_json:
            file, used_in = str(folder / f"{ref}.md.j2"), None if unread else count
            print_json({"prompt": ref, "sha256": template.sha256, "file": file, "used": used_in})
        else:
            usage = "" if unread else f"  used in {count} records"
            out.print(f"[bold]{ref:<16}[/] {template.sha256[:16]}{usage}  {escape(template.front_matter.description)}")
    used.pop("", None)
    for digest, count in used.items():
        if as_json:
            print_json({"prompt": None, "sha256": digest, "file": None, "used": count})
        else:
            out.print(f"{'(not here)':<16} {digest[:16]}  used in {count} records, which keep its source")
    if unread and not as_json:
        out.print(f"[dim]Their use is unknown: {escape(unread)}[/]")


async def _diff(records: _Records, refs: tuple[str, str], *, as_json: bool) -> None:
    settings = records.settings
    name = settings.prompt.partition("/")[0]
    templates = [
        load_template(settings.prompts, ref if "/" in ref else f"{name}/{ref}", settings.state_dir) for ref in refs
    ]
    shown = 0
    entries, blobs = await records.read(_FIRST)
    for entry in entries:
        texts = [text_of(prompt) for template in templates if (prompt := rendered(template, entry, blobs)) is not None]
        if len(texts) != len(templates):
            continue
        rows, shown = diff(*texts), shown + 1
        if as_json:
            changed = sum(row.kind == "changed" for row in rows)
            print_json({"index": entry.index, "a": texts[0], "b": texts[1], "rows": changed})
            continue
        a, b = (template.ref for template in templates)
        out.print(
            f"[bold]record {entry.index}, {escape(entry.record['symbol'])}[/]: [red]- {a}[/], {len(texts[0])} "
            f"characters; [green]+ {b}[/], {len(texts[1])} characters"
        )
        _print_rows(rows)
        if not rows:
            out.print("  the same, byte for byte")
    if not shown:
        raise ReplayError("None of these records can be rendered.", "Name others with --on.")
    if records.on is None and not as_json:
        out.print("[dim]The first record; --on SELECTION names others.[/]")


def _print_rows(rows: "list[Row]") -> None:
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


async def _check(records: _Records, name: str | None = None, *, as_json: bool) -> None:
    entries, blobs = await records.read("all")
    folder = records.settings.prompts
    refs = versions_of(folder)
    if name is not None:
        refs = [ref for ref in refs if name in (ref, ref.partition("/")[0])] or [name]
    found = [fitness(load_template(folder, ref, records.settings.state_dir), entries, blobs) for ref in refs]
    for fit in found:
        if as_json:
            print_json(fit.as_dict())
        else:
            _print_fitness(fit)
    if not all(fit.fit for fit in found):
        raise typer.Exit(1)


def _print_fitness(fit: Fitness) -> None:
    verdict = "[green]renders[/]" if fit.fit else "[red]does not render[/]"
    out.print(f"[bold]{fit.ref}[/]  {verdict} on {fit.rendered} records")
    if fit.unknown:
        out.print(f"  unknown        {escape(', '.join(fit.unknown))}")
    for failure in fit.failures:
        out.print(f"  fails on       {escape(failure)}")
    if fit.failed > len(fit.failures):
        out.print(f"                 and {fit.failed - len(fit.failures)} more")
    out.print(
        f"  size           {fit.characters} characters, about {fit.tokens} tokens (median); largest {fit.largest}"
    )
    cache = f"a provider can cache {fit.cached:.0%} of each request" if fit.cached else "too short to be cached"
    out.print(f"  fixed prefix   {fit.fixed} characters, about {fit.fixed_tokens} tokens: {cache}")
