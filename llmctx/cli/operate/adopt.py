"""`llmctx adopt`: a mapping for a keyspace that exists."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llmctx.cli.shared.options import AsJson
from llmctx.cli.shared.output import coloured, escape, out, print_json
from llmctx.cli.shared.setup import redis_of, settings_for
from llmctx.errors import LlmctxError

if TYPE_CHECKING:
    from llmctx.context.package import Package
    from llmctx.ops.adopt.proposal import Proposal
    from llmctx.ops.adopt.survey import Survey


def adopt(
    redis_url: Annotated[str, typer.Argument(help="The server to look at, for example redis://127.0.0.1:6379/0.")],
    output: Annotated[Path, typer.Option("--output", help="The file to write the mapping to.")] = Path("sections.toml"),
    max_keys: Annotated[int, typer.Option(min=1, help="How many keys to look at.")] = 20_000,
    as_json: AsJson = False,
) -> None:
    """Propose a mapping for an existing keyspace; writes nothing.

    Looks at the keys and at a few values of each pattern, writes the `[sections]` that they suggest to a file, and
    shows up to three packages made with it and what is missing. Check the file, complete it, and copy it into
    llmctx.toml.

    \b
    llmctx adopt redis://127.0.0.1:6379/0
    """
    if output.exists():
        raise LlmctxError(f"{output} exists already.", "Name another file with --output.", exit_code=2)
    found, proposal, packages = asyncio.run(_adopt(redis_url, max_keys))
    if proposal is None:
        raise LlmctxError(
            f"None of {found.keys} keys looks like a section.",
            "Write [sections] yourself (docs/sections.md), or try --max-keys with more.",
            exit_code=1,
        )
    output.write_text(proposal.text, encoding="utf-8")
    if as_json:
        print_json(_as_json(found, proposal, packages) | {"file": str(output)})
    else:
        _print(found, proposal, packages)
        out.print(f"\nThe mapping is in {escape(str(output))}: check it, complete it, and copy it into llmctx.toml.")


async def _adopt(url: str, max_keys: int) -> "tuple[Survey, Proposal | None, list[Package]]":
    from llmctx.ops.adopt.preview import MAX_PACKAGES, preview
    from llmctx.ops.adopt.proposal import propose
    from llmctx.ops.adopt.survey import survey

    async with redis_of(settings_for(url)) as (redis, _):
        found = await survey(redis, max_keys)
        proposal = propose(found)
        symbols = () if proposal is None else proposal.symbols[:MAX_PACKAGES]
        packages = [] if proposal is None else [await preview(redis, proposal.sections, symbol) for symbol in symbols]
        return found, proposal, packages


def _as_json(found: "Survey", proposal: "Proposal", packages: "list[Package]") -> dict[str, Any]:
    return {
        "keys": found.keys,
        "complete": found.complete,
        "passed_over": found.passed_over,
        "sections": {name: str(rule.key) for name, rule in proposal.sections.rules.items()},
        "missing": proposal.missing,
        "absent": proposal.absent,
        "packages": [
            {"symbol": package.symbol, "sections": {name: one.status for name, one in package.sections.items()}}
            for package in packages
        ],
    }


def _print(found: "Survey", proposal: "Proposal", packages: "list[Package]") -> None:
    whole = "all" if found.complete else "the first"
    out.print(f"Looked at {whole} {found.keys:,} keys.")
    for kind, count in found.passed_over.items():
        out.print(f"[dim]skipped: {count} of type {escape(kind)}[/]")
    for name, rule in proposal.sections.rules.items():
        out.print(f"  {name:<12} {escape(str(rule.key))}")
        for field in proposal.missing.get(name, ()):
            out.print(f"  {'':<12} [red]missing[/] {escape(field)}")
    if proposal.absent:
        out.print(f"  no key found for {', '.join(proposal.absent)}")
    for package in packages:
        out.print(f"\n[bold]{escape(package.symbol)}[/]")
        for name, section in package.sections.items():
            if name in proposal.sections.rules:
                reason = f"  {escape(section.reason)}" if section.reason else ""
                out.print(f"  {name:<12} {coloured(section.status)}{reason}")
        out.print(f"  [red]{escape(package.refusal)}[/]" if package.refusal else "  a decision can be asked for")
