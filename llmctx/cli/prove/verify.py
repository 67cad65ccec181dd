"""`llmctx verify`: whether the trail is unaltered."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from redis.asyncio import Redis

from llmctx.cli.prove.reconcile import print_trade, trades_of
from llmctx.cli.shared.long_running import progress
from llmctx.cli.shared.options import AsJson, From, RedisUrl, StateDir
from llmctx.cli.shared.output import escape, out, print_json
from llmctx.cli.shared.setup import open_trail, settings_for
from llmctx.cli.shared.sources import copy_in, source_of
from llmctx.errors import CheckpointError, LlmctxError
from llmctx.replay.partition_check import PartitionReport
from llmctx.replay.verify import Expected, Older, trusted_of, verify_partition
from llmctx.replay.verify_copy import check_copy, verify_part
from llmctx.settings import Settings
from llmctx.trail.log.instance import Instance, check_state_instance
from llmctx.trail.log.leaf_schema import FaultError
from llmctx.trail.log.log import Log
from llmctx.trail.proof.checkpoint import Key
from llmctx.trail.proof.receipt import read_receipt, verify_receipt
from llmctx.trail.source.copies import open_copy
from llmctx.trail.source.joined import JoinedRecords, trail_source
from llmctx.worker.published_check import Published, PublishedCheck, read_published

_MAX_FURTHER_SHOWN = 20
_Reports = tuple[dict[str, str], list[PartitionReport]]
"""The name of the trail or export, and a report for each partition."""


def verify(
    directory: Annotated[
        str | None,
        typer.Argument(metavar="DIR", help="An export or archive, as with --from. Default: the trail in Redis."),
    ] = None,
    key: Annotated[
        str | None, typer.Option(help="The notary's public key (vkey) as it was given to you, or a file that holds it.")
    ] = None,
    origin: Annotated[
        str | None, typer.Option(help="llmctx/INSTANCE, which the checkpoints must name. Default: the key's name.")
    ] = None,
    held: Annotated[
        list[Path] | None,
        typer.Option(
            "--receipt-held", "--receipts", help="A receipt kept elsewhere, which the trail must match; repeatable."
        ),
    ] = None,
    receipt: Annotated[Path | None, typer.Option("--receipt", help="Check this receipt alone.")] = None,
    rebuild: Annotated[
        bool, typer.Option("--rebuild/--no-rebuild", help="Render each prompt and judge each answer again, or do not.")
    ] = True,
    strict: Annotated[
        bool, typer.Option("--strict", help="Fail on records that differ and name rules this version does not know.")
    ] = False,
    effects: Annotated[
        bool, typer.Option("--effects", help="Fail on decisions that do not agree with what became of them.")
    ] = False,
    where: From = None,
    redis_url: RedisUrl = None,
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """Verify the trail: every record, its evidence, every checkpoint.

    In Redis it is checked against the anchor in the state directory, together with the published decisions and the
    loaded functions; if LLMCTX_ARCHIVE names the archive, archived records are checked as part of the same trail. An
    export or an archive is checked by itself. Exit code 0: verified, or intact with losses that incidents account for.
    1: altered; the output names the first bad record, the rule it breaks, what was expected and what was found. The
    check continues after an unreadable record, and names every such record. audit/README.md states the rules;
    audit/verify.py applies them too and shares no code with this command.

    Records of other versions are rebuilt too. Differences in them are counted as not reproducible, which is not a
    failure. If such a record names rules that no released version has, there is a warning; with --strict it is a
    failure.

    With --effects, decisions are also compared with what the execution side reported (`llmctx reconcile`); a finding is
    exit code 1 too.

    \b
    llmctx verify
    llmctx verify ./export --key "$(llmctx key)"
    llmctx verify --receipt receipt.json --key "$(llmctx key)"
    """
    if directory is not None and where is not None:
        raise typer.BadParameter(f"{directory} and --from {where}: give one of them")
    where = directory or where
    given = None if key is None else _read_key(key)
    try:
        if receipt is not None:
            _verify_receipt(receipt, given, origin, as_json=as_json)
            return
        receipts = [read_receipt(path.read_bytes()) for path in held or []]
        expected = Expected(given, origin, receipts, rebuild)
        if where is None:
            name, reports = asyncio.run(_verify_redis(settings_for(redis_url, state_dir), expected, quiet=as_json))
        else:
            name, reports = asyncio.run(_verify_copy(where, expected, quiet=as_json))
    except FaultError as broken:
        name, reports = {}, [PartitionReport(0, fault=broken.fault)]
    _print(name, reports, as_json=as_json)
    failed = any(report.fault or (strict and report.unknown) for report in reports)
    if effects and not failed:
        failed = asyncio.run(_print_findings(settings_for(redis_url, state_dir), where, as_json=as_json))
    raise typer.Exit(1 if failed else 0)


async def _print_findings(settings: Settings, where: str | None, *, as_json: bool) -> bool:
    """Print the trades that do not agree with their decisions; returns whether there are any."""
    async with source_of(settings, where) as source:
        wrong = [trade for trade in await trades_of(source) if trade.findings]
    for trade in wrong:
        if as_json:
            print_json({"trade": trade.as_dict()})
        else:
            print_trade(trade)
    if not wrong and not as_json:
        out.print("[green]effects[/]  agree with the decisions.")
    return bool(wrong)


def _read_key(text: str) -> Key:
    path = Path(text)
    try:
        return Key.read(path.read_text(encoding="utf-8") if "+" not in text and path.is_file() else text)
    except CheckpointError as error:
        raise LlmctxError(f"--key: {error.why}.", "Give the line that `llmctx key` prints.") from error


def _verify_receipt(path: Path, key: Key | None, origin: str | None, *, as_json: bool) -> None:
    if key is None:
        raise LlmctxError("A receipt is checked with a key.", "Give the notary's vkey with --key.")
    receipt = read_receipt(path.read_bytes())
    fault = verify_receipt(receipt, trusted_of(key, origin, receipt.partition))
    if fault is not None:
        raise FaultError(fault)
    if as_json:
        print_json({"index": receipt.at, "origin": receipt.origin, "verdict": "verified", "fault": None})
    else:
        out.print(f"[green]verified[/]  record {receipt.at} of {receipt.origin} is in the tree that {key.name} signed.")


async def _check_published(log: Log, partitions: int, published: Published, report: PartitionReport) -> PartitionReport:
    """Add the faults of a partition's published data to its report; a fault of the trail comes first."""
    if report.fault is not None:
        return report
    check = PublishedCheck(log, partitions, published, report.losses, archived=await log.first())
    await check.run()
    fault = check.faults[0] if check.faults else None
    return report._replace(fault=fault, warnings=(*report.warnings, *check.warnings()))


async def _verify_redis(settings: Settings, expected: Expected, *, quiet: bool) -> _Reports:
    reports = []
    async with open_trail(settings) as (redis, instance):
        check_state_instance(settings.state_dir, instance)
        expected.check_partitions(instance.partitions)
        older = await _older(redis, instance, settings.archive)
        for partition in range(instance.partitions):
            log, published = Log(redis, partition), await read_published(redis, partition)
            with progress(f"partition {partition}", await log.size(), quiet=quiet) as advance:
                report = await verify_partition(
                    log, instance, settings.state_dir, expected, advance, older.get(partition)
                )
            reports.append(await _check_published(log, instance.partitions, published, report))
    return {"instance": instance.id}, reports


async def _older(redis: Redis, instance: Instance, archive: str | None) -> dict[int, Older]:
    """What the archive has of each partition whose records were trimmed."""
    if archive is None:
        return {}
    source = await trail_source(redis, instance, archive)
    joined = {part.partition: part for part in source.parts if isinstance(part, JoinedRecords)}
    if not joined:
        return {}
    copy = open_copy(archive)
    return {
        part.partition: Older(joined[part.partition], copy.notes(part)[0], copy.erasures(part))
        for part in copy.parts
        if part.partition in joined
    }


async def _verify_copy(where: str, expected: Expected, *, quiet: bool) -> _Reports:
    copy, reports = open_copy(copy_in(where, "verify")), []
    check_copy(copy, expected)
    for part in copy.parts:
        with progress(f"partition {part.partition}", part.size, quiet=quiet) as advance:
            reports.append(await verify_part(copy, part, expected, advance))
    return {"origin": copy.origin}, reports


def _print(name: dict[str, str], reports: list[PartitionReport], *, as_json: bool) -> None:
    if as_json:
        for report in reports:
            print_json({**name, **report.as_dict()})
        return
    for report in reports:
        _print_report(report)
    if any(report.fault for report in reports):
        return
    if any(report.losses for report in reports):
        out.print("[yellow]intact, with losses[/]  what is there is unaltered; incidents account for what is lost.")
    else:
        out.print("[green]verified[/]  no gaps, one record for each tick, all records and evidence unaltered.")


def _print_report(report: PartitionReport) -> None:
    out.print(
        f"partition {report.partition}: {report.records} records settle {report.ticks} ticks"
        + (f", after {report.archived} archived ones; " if report.archived else "; ")
        + f"{report.checkpoints} checkpoints cover {report.covered}; "
        f"{report.rebuilt} rebuilt whole from their evidence, prompts byte for byte."
    )
    for piece, count in report.erased.items():
        out.print(f"[yellow]erased by rule[/]  {piece} of {count} records; their digests are in the leaves")
    for line in [] if report.reproduction is None else report.reproduction.lines():
        out.print(escape(line))
    for first, last in report.losses:
        out.print(f"[yellow]lost[/]  records {first} to {last}; their leaf hashes are in the tree")
    if report.incidents:
        out.print(f"incidents at {', '.join(str(index) for index in report.incidents)}")
    for warning in report.warnings:
        out.print(f"[yellow]warning:[/] {escape(warning)}")
    if report.fault is not None:
        out.print(f"[red]FAILED[/]  {escape(str(report.fault))}")
    for fault in report.further[:_MAX_FURTHER_SHOWN]:
        out.print(f"[red]also[/]    {escape(str(fault))}")
    if (hidden := len(report.further) - _MAX_FURTHER_SHOWN) > 0:
        out.print(f"        and {hidden} further bad records; --json names them all")
