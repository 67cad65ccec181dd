"""The command that keeps recorded decisions in a file: corpus."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from llmctx.cli.options import AsJson, RedisUrl, StateDir
from llmctx.cli.output import coloured, escape, out, print_json, warn
from llmctx.cli.setup import settings_for
from llmctx.cli.sources import From, no_match, selection_of, source_of
from llmctx.clock import iso
from llmctx.errors import CorpusError
from llmctx.replay.corpus import Corpus, Recorded, read_corpus, write_corpus
from llmctx.replay.reproduction import Reproduction
from llmctx.replay.rerun import Templates, check_evidence, rebuild
from llmctx.settings import Settings

_FORM = "Write `llmctx corpus add SELECTION FILE` or `llmctx corpus list FILE`."


def corpus(
    words: Annotated[
        list[str],
        typer.Argument(metavar="add SELECTION FILE | list FILE", help="A selection as `llmctx replay --help` has it."),
    ],
    where: From = None,
    redis_url: RedisUrl = None,
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """Keep recorded decisions in a corpus file, for tests.

    A corpus is portable and self-contained: leaves, evidence, templates and schemas, every byte held by a digest. add
    puts records to a file, behind those that are there already; list tells what a file holds.

    \b
    llmctx corpus add action=reduce,limit=5 audit/corpus/mine.jsonl
    llmctx corpus add 40-60 audit/corpus/mine.jsonl --from ./export
    llmctx corpus list audit/corpus/demo.jsonl
    """
    match words:
        case ["add", text, file]:
            settings = settings_for(redis_url, state_dir)
            asyncio.run(_add(settings, text, Path(file), where, as_json=as_json))
        case ["list", file]:
            _list(Path(file), as_json=as_json)
        case ["add" | "list" as verb, *given]:
            needed = "a SELECTION and a FILE" if verb == "add" else "one FILE"
            raise CorpusError(f"`llmctx corpus {verb}` takes {needed}, and got {len(given) or 'nothing'}.", _FORM)
        case _:
            raise CorpusError(f"{' '.join(words)!r} is nothing that a corpus does.", _FORM)


async def _add(settings: Settings, text: str, file: Path, where: Path | None, *, as_json: bool) -> None:
    from llmctx.replay.source import select

    whole, selection = selection_of(text)
    before = _there(file)
    known = {entry.place for entry in before.entries}
    async with source_of(settings, where) as source:
        found = [entry async for entry in select(source, selection)]
        if not found:
            raise no_match(whole, source, where)
        _check(found, source.blobs)
        file.parent.mkdir(parents=True, exist_ok=True)
        fresh = [entry for entry in found if entry.place not in known]
        write_corpus(file, [*before.entries, *fresh], before.blobs | source.blobs)
        name = source.name
    told = {"file": str(file), "added": len(fresh), "there_already": len(found) - len(fresh)}
    told |= {"records": len(before.entries) + len(fresh), "bytes": _size(file)}
    if as_json:
        print_json(told)
        return
    there = f", {told['there_already']} were there already" if told["there_already"] else ""
    out.print(
        f"Added {len(fresh)} records of {escape(name)} to {escape(str(file))}{there}: "
        f"{told['records']} now, {_size(file) / 1000:.0f} KB."
    )


def _there(file: Path) -> Corpus:
    return read_corpus(file) if file.exists() else Corpus([], {})


def _size(file: Path) -> int:
    return file.stat().st_size


def _check(entries: list[Recorded], blobs: dict[str, bytes]) -> None:
    """Only what comes out of its evidence again is kept.

    Raises CorpusError for the first record that was altered.
    """
    templates = Templates(blobs)
    reproduction = Reproduction()
    for entry in entries:
        altered = check_evidence(entry)
        found = rebuild(entry, templates)
        if (altered := altered or found.tampering) is not None:
            raise CorpusError(
                f"Record {entry.index} was altered, by its {altered.by}: {altered.what}.",
                "Leave it out, and see `llmctx verify`.",
                exit_code=1,
            )
        reproduction.add(entry.record["code"], found)
    for line in reproduction.lines():
        warn(line)


def _list(file: Path, *, as_json: bool) -> None:
    for entry in read_corpus(file).entries:
        record = entry.record
        prompt = record.get("prompt", {})
        line = {
            "origin": entry.origin,
            "partition": entry.partition,
            "index": entry.index,
            "kind": record["kind"],
            "symbol": record.get("symbol"),
            "as_of_ms": record.get("as_of_ms"),
            "action": record["verdict"]["action"],
            "prompt": f"{prompt['template']}/v{prompt['version']}" if prompt else None,
            "leaf_hash": entry.leaf_hash,
        }
        if as_json:
            print_json(line)
            continue
        at = f"{iso(record['as_of_ms'])[:19]}Z" if "as_of_ms" in record else ""
        action = f"{coloured(str(line['action']))}{' ' * (13 - len(str(line['action'])))}"
        out.print(
            f"{entry.index:>6}  {escape(str(line['symbol'])):<6} {at}  {action}"
            f"{line['prompt'] or 'not asked'}  [dim]{entry.leaf_hash[:12]}[/]"
        )
