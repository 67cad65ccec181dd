"""The command that proves: verify."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from redis.asyncio import Redis

from llmctx.cli.options import AsJson, RedisUrl, StateDir
from llmctx.cli.output import escape, out, print_json
from llmctx.cli.progress import progress
from llmctx.cli.setup import redis_of, settings_for
from llmctx.errors import CheckpointError, LlmctxError
from llmctx.replay.check import Outside, trusted_of, verify_log, verify_part
from llmctx.replay.report import Report
from llmctx.settings import Settings
from llmctx.trail.log.instance import Instance, check_state_instance, read_state_instance
from llmctx.trail.proof.checkpoint import Key, origin_of, read_note
from llmctx.trail.proof.fault import Fault, FaultError
from llmctx.trail.proof.receipt import Receipt, read_receipt, verify_receipt

VKey = Annotated[
    str | None,
    typer.Option("--key", help="The notary's public key (vkey) as you were given it, or a file with it."),
]
Origin = Annotated[
    str | None,
    typer.Option("--origin", help="llmctx/INSTANCE, which its checkpoints must name; the key's name otherwise."),
]


def verify(
    directory: Annotated[
        Path | None,
        typer.Argument(metavar="[DIR]", help="An export; the trail in Redis and its anchor otherwise."),
    ] = None,
    key: VKey = None,
    origin: Origin = None,
    held: Annotated[
        list[Path] | None,
        typer.Option("--receipt-held", "--receipts", help="A receipt kept outside, again and again: it must be in it."),
    ] = None,
    receipt: Annotated[Path | None, typer.Option("--receipt", help="Check this receipt alone.")] = None,
    rebuild: Annotated[
        bool, typer.Option("--rebuild/--no-rebuild", help="Render each prompt again, and conclude again from answers.")
    ] = True,
    strict: Annotated[
        bool, typer.Option("--strict", help="Fail on records that differ and name rules this version does not know.")
    ] = False,
    redis_url: RedisUrl = None,
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """Verify the trail: every record, all its evidence, every checkpoint.

    In Redis against the anchor of the state directory, or in an export. Exit code 0 where all is good, or intact with
    losses that are accounted for; 1 with the first bad record, the rule it breaks, what was expected and found. The
    rules stand in audit/README.md; audit/verify.py obeys them too and shares no code with this.

    A record that another version made is rebuilt as well. What differs is counted by part as not reproducible and is no
    failure; where its `code` names rules that no released version has, it is warned of, and --strict makes it one.

    \b
    llmctx verify
    llmctx verify ./export --key "$(llmctx key)"
    llmctx verify --receipt receipt.json --key "$(llmctx key)"
    """
    settings = settings_for(redis_url, state_dir)
    given = None if key is None else _read_key(key)
    try:
        receipts = [read_receipt(path.read_bytes()) for path in held or []]
        if receipt is not None:
            reports = [_verify_alone(receipt, given, origin, as_json=as_json)]
        elif directory is None:
            reports = asyncio.run(_verify_redis(settings, given, origin, receipts, rebuild=rebuild, as_json=as_json))
        else:
            reports = asyncio.run(_verify_export(directory, given, origin, receipts, rebuild=rebuild, as_json=as_json))
    except FaultError as broken:
        reports = [Report(0, 0, 0, 0, 0, broken.fault)]
        _print(reports, {}, as_json=as_json)
    failed = any(report.fault or (strict and report.unknown) for report in reports)
    raise typer.Exit(1 if failed else 0)


def _read_key(text: str) -> Key:
    path = Path(text)
    try:
        return Key.read(path.read_text(encoding="utf-8") if "+" not in text and path.is_file() else text)
    except CheckpointError as error:
        raise LlmctxError(f"--key: {error.why}.", "Give the line that `llmctx key` prints.") from error


def _verify_alone(path: Path, key: Key | None, origin: str | None, *, as_json: bool) -> Report:
    if key is None:
        raise LlmctxError("A receipt is checked with a key.", "Name the notary's vkey with --key.")
    held = read_receipt(path.read_bytes())
    fault = verify_receipt(held, trusted_of(key, origin, held.partition))
    if fault is not None:
        raise FaultError(fault)
    if as_json:
        print_json({"index": held.at, "origin": held.origin, "verdict": "verified", "fault": None})
    else:
        out.print(f"[green]verified[/]  record {held.at} of {held.origin} stands in the tree that {key.name} signed.")
    return Report(held.partition, 1, 1, 0, 0, None)


def _check_partitions(receipts: list[Receipt], partitions: int) -> None:
    """Every receipt speaks of a partition that there is.

    Raises FaultError for the first one that does not.
    """
    for receipt in receipts:
        if receipt.partition >= partitions:
            found = f"{partitions} partitions"
            raise FaultError(Fault(receipt.at, "receipt", f"a partition {receipt.partition}", found))


def receipts_of(receipts: list[Receipt], partition: int, origin: str) -> list[Receipt]:
    """The receipts that speak of one partition.

    Raises FaultError for a receipt of another trail.
    """
    of_it = [receipt for receipt in receipts if receipt.partition == partition]
    for receipt in of_it:
        if receipt.origin not in ("", origin):
            raise FaultError(Fault(receipt.at, "receipt", f"a receipt of {origin}", receipt.origin))
    return of_it


async def _verify_redis(
    settings: Settings, key: Key | None, origin: str | None, receipts: list[Receipt], *, rebuild: bool, as_json: bool
) -> list[Report]:
    from llmctx.cli.look import read_existing_instance

    async with redis_of(settings) as (redis, _):
        instance = await read_existing_instance(redis)
        check_state_instance(settings.state_dir, instance)
        _check_partitions(receipts, instance.partitions)
        reports = [
            await verify_partition(
                redis,
                settings,
                instance,
                partition,
                key=key,
                origin=origin,
                receipts=receipts,
                rebuild=rebuild,
                quiet=as_json,
            )
            for partition in range(instance.partitions)
        ]
    _print(reports, {"instance": instance.id}, as_json=as_json)
    return reports


async def verify_partition(
    redis: Redis,
    settings: Settings,
    instance: Instance,
    partition: int,
    *,
    key: Key | None = None,
    origin: str | None = None,
    receipts: list[Receipt] | None = None,
    rebuild: bool = True,
    quiet: bool = False,
) -> Report:
    """What a check of one partition finds, with the state directory's anchor and key as evidence from outside."""
    from llmctx.trail.log.log import Log
    from llmctx.trail.proof.anchor import Anchor, anchor_directory
    from llmctx.trail.proof.key import read_public_key

    log = Log(redis, partition)
    given, key = key is not None, key or read_public_key(settings.state_dir, instance.id)
    name = origin_of(instance.id, partition)
    trusted = None if key is None else trusted_of(key, origin, partition, instance.partitions)
    if trusted is not None and trusted.origin != name:
        raise FaultError(Fault(0, "origin", trusted.origin, name))
    told = await log.checkpoint()  # before the anchor, which the notary writes first: it is no newer there
    anchor = Anchor(anchor_directory(settings.state_dir, instance.id, partition))
    notes, hashes, held = anchor.checkpoints(), anchor.hashes(), receipts_of(receipts or [], partition, name)
    bound = read_state_instance(settings.state_dir) is not None
    outside = Outside(trusted, notes, hashes, held, given, warnings_of(notes, told, bound=bound))
    with progress(f"partition {partition}", await log.size(), quiet=quiet) as advance:
        return await verify_log(log, advance, outside, rebuilding=rebuild)


def warnings_of(notes: list[str], told: str | None, *, bound: bool) -> list[str]:
    """What an anchor's checkpoints, held against the one in Redis, give to think; `bound` says that one should be."""
    if not notes:
        return ["this state directory has no anchor for it: what it proves is only what Redis says"] * bound
    if told is None or told in notes:
        return []
    try:
        there, here = read_note(told), read_note(notes[-1])
        newer = (there.size, there.time_ms) > (here.size, here.time_ms)
    except CheckpointError:
        return []  # the check itself finds that
    return ["the checkpoint in Redis is newer than the anchor's last one: was the anchor cut back?"] * newer


async def _verify_export(
    directory: Path, key: Key | None, origin: str | None, receipts: list[Receipt], *, rebuild: bool, as_json: bool
) -> list[Report]:
    from llmctx.trail.export.reader import Export

    export = Export(directory)
    inside = export.key
    if key is not None and inside != key:
        raise FaultError(Fault(0, "key", key.text, inside.text))
    origin = origin or inside.name
    if export.origin != origin:
        raise FaultError(Fault(0, "origin", origin, export.origin))
    export.check_blobs()
    _check_partitions(receipts, len(export.parts))
    reports = []
    for part in export.parts:
        trusted = trusted_of(inside, origin, part.partition, len(export.parts))
        held = [receipt for receipt in receipts if receipt.partition == part.partition]
        with progress(f"partition {part.partition}", part.size, quiet=as_json) as advance:
            reports.append(await verify_part(export, part, trusted, held, advance, rebuilding=rebuild))
    if key is None:
        said = "the key came with the export, so it proves nothing against whoever made that; name it with --key"
        reports = [report._replace(warnings=(said, *report.warnings)) for report in reports]
    _print(reports, {"origin": export.origin}, as_json=as_json)
    return reports


def _print(reports: list[Report], of_all: dict[str, str], *, as_json: bool) -> None:
    if as_json:
        for report in reports:
            print_json({**of_all, **report.as_dict()})
        return
    for report in reports:
        out.print(_line(report))
        for first, last in report.losses:
            out.print(f"[yellow]lost[/]  records {first} to {last}; their leaf hashes are in the tree")
        if report.incidents:
            out.print(f"incidents at {', '.join(str(index) for index in report.incidents)}")
        for warning in report.warnings:
            out.print(f"[yellow]warning:[/] {escape(warning)}")
        if report.fault is not None:
            out.print(f"[red]FAILED[/]  {escape(str(report.fault))}")
    if any(report.fault for report in reports):
        return
    if any(report.losses for report in reports):
        out.print("[yellow]intact, with losses[/]  what is there is unaltered, and what is lost is accounted for.")
    else:
        out.print("[green]verified[/]  contiguous, canonical, one record a tick, all evidence unaltered.")


def _line(report: Report) -> str:
    others = [] if report.reproduction is None else report.reproduction.lines()
    return "\n".join([_counts(report), *map(escape, others)])


def _counts(report: Report) -> str:
    return (
        f"partition {report.partition}: {report.records} records settle {report.ticks} ticks; "
        f"{report.checkpoints} checkpoints cover {report.covered}; "
        f"{report.rebuilt} came out of their evidence again, prompts byte for byte."
    )
