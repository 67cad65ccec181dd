"""`llmctx corpus`: recorded decisions in a file."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from llmctx.cli.shared.options import AsJson, From, RedisUrl, StateDir
from llmctx.cli.shared.output import coloured, escape, messages, out, print_json
from llmctx.cli.shared.setup import settings_for
from llmctx.cli.shared.sources import no_match, recordings_of, selection_of
from llmctx.clock import iso
from llmctx.errors import CorpusError
from llmctx.replay.corpus import BlobCache, Corpus, Recorded, read_corpus, write_corpus
from llmctx.replay.reproduction import check_records
from llmctx.settings import Settings

_USAGE = "Write `llmctx corpus add SELECTION FILE` or `llmctx corpus list FILE`."
_ACTION_WIDTH = 13


def corpus(
    words: Annotated[
        list[str],
        typer.Argument(metavar="add SELECTION FILE | list FILE", help="For SELECTION see `llmctx replay --help`."),
    ],
    where: From = None,
    redis_url: RedisUrl = None,
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """Keep recorded decisions in a file, for tests.

    A corpus file is portable and self-contained: leaves, evidence, templates and schemas, each protected by a digest.
    add appends records to a file; list shows what a file holds.

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
            raise CorpusError(f"`llmctx corpus {verb}` takes {needed}, and got {len(given) or 'nothing'}.", _USAGE)
        case _:
            raise CorpusError(f"`llmctx corpus` has no action {' '.join(words)!r}.", _USAGE)


async def _add(settings: Settings, text: str, file: Path, where: str | None, *, as_json: bool) -> None:
    whole, selection = selection_of(text)
    before = _read(file)
    known = {entry.place for entry in before.entries}
    async with recordings_of(settings, where) as recordings:
        found = [entry async for entry in recordings.select(selection)]
        if not found:
            raise no_match(whole, recordings, where)
        _check(found, recordings.blobs)
        fresh = [entry for entry in found if entry.place not in known]
        size = _write(file, [*before.entries, *fresh], {**before.blobs, **recordings.blobs})
    there, total = len(found) - len(fresh), len(before.entries) + len(fresh)
    if as_json:
        counts = {"added": len(fresh), "there_already": there, "records": total, "bytes": size}
        print_json({"file": str(file), **counts})
        return
    already = f", {there} were there already" if there else ""
    out.print(
        f"Added {len(fresh)} records of {escape(recordings.name)} to {escape(str(file))}{already}: "
        f"{total} now, {size / 1000:.0f} KB."
    )


def _read(file: Path) -> Corpus:
    return read_corpus(file) if file.exists() else Corpus([], BlobCache())


def _write(file: Path, entries: list[Recorded], blobs: dict[str, bytes]) -> int:
    """Write the file and return its size in bytes."""
    file.parent.mkdir(parents=True, exist_ok=True)
    write_corpus(file, entries, blobs)
    return file.stat().st_size


def _check(entries: list[Recorded], blobs: BlobCache) -> None:
    """Raise CorpusError for the first record with altered evidence; warn of those that this version cannot rebuild."""
    check = check_records(entries, blobs)
    for entry, difference in check.altered:
        raise CorpusError(
            f"Record {entry.index} was altered, by its {difference.by}: {difference.what}.",
            "Leave it out, and run `llmctx verify`.",
            exit_code=1,
        )
    for line in check.reproduction.lines():
        messages.warning(line)


def _list(file: Path, *, as_json: bool) -> None:
    for entry in read_corpus(file).entries:
        record = entry.record
        action, symbol, prompt = record["verdict"]["action"], record.get("symbol"), record.get("prompt")
        ref = f"{prompt['template']}/v{prompt['version']}" if prompt else None
        if as_json:
            kind = {"kind": record["kind"], "symbol": symbol, "as_of_ms": record.get("as_of_ms")}
            print_json({**vars(entry.place), **kind, "action": action, "prompt": ref, "leaf_hash": entry.leaf_hash})
            continue
        at = f"{iso(record['as_of_ms'])[:19]}Z" if "as_of_ms" in record else ""
        out.print(
            f"{entry.index:>6}  {escape(str(symbol)):<6} {at}  {coloured(action)}{' ' * (_ACTION_WIDTH - len(action))}"
            f"{ref or 'not asked'}  [dim]{entry.leaf_hash[:12]}[/]"
        )
