"""`llmctx mandate of ADDRESS`: whether a recorded decision was within the limits in force at its time."""

from llmctx.cli.shared.output import coloured, escape, out, print_json
from llmctx.cli.shared.sources import source_of
from llmctx.decision.mandate.mandate import Mandate
from llmctx.errors import ReplayError
from llmctx.replay.corpus import BlobCache
from llmctx.replay.limits_at import LimitsAt, limits_at
from llmctx.settings import Settings
from llmctx.trail.log.entry import Entry, address
from llmctx.trail.source.lookup import blobs_of, read_record, said_of
from llmctx.trail.source.source import Source
from llmctx.visible import visible

_COLOURS = {"within": "green", "clamp": "yellow", "block": "red"}


async def show_limits_at(settings: Settings, where: str | None, text: str, *, as_json: bool) -> None:
    """Print the limits at a record; for an effect, those at its decision.

    Raises AddressError if there is no such record, ReplayError if its evidence cannot be used.
    """
    async with source_of(settings, where) as source:
        entry = await _decided(source, text)
        blobs, said = BlobCache(await blobs_of(source, entry)), await said_of(source, entry)
    if "snapshot" not in entry.record:
        _print_undecided(entry, text, as_json=as_json)
        return
    try:
        found = limits_at(entry, blobs)
    except (ValueError, KeyError, TypeError) as error:
        raise ReplayError(
            f"Record {text} cannot be judged: {error}.", "Run `llmctx verify` to find out more."
        ) from error
    place = address(entry.index, entry.partition, source.partitions)
    people = [visible(other.record["verdict"]["reason"]) for other in said if other.record["kind"] != "effect"]
    if as_json:
        mandate = None if found.mandate is None else {"sha256": found.mandate.sha256, **_named(found.mandate)}
        rules = [rule._asdict() for rule in found.rules]
        print_json({"address": place, **found._asdict(), "mandate": mandate, "rules": rules, "people": people})
        return
    _print(entry, place, found, people)


async def _decided(source: Source, text: str) -> Entry:
    entry = await read_record(source, text)
    if "about" in entry.record:
        named = address(entry.record["about"]["index"], entry.partition, source.partitions)
        return await read_record(source, named)
    return entry


def _print_undecided(entry: Entry, place: str, *, as_json: bool) -> None:
    """Print that no decision asked for the event in a record."""
    reason = entry.record["verdict"]["reason"]
    if as_json:
        print_json({"address": place, "kind": entry.record["kind"], "reason": reason, "asked": "none"})
        return
    out.print(f"[bold]record {place}[/]  {escape(entry.record.get('symbol', ''))}  {escape(reason)}")
    out.print("  no decision asked for it, so no limit was applied: the execution side acted alone, as with a stop at")
    out.print("  the broker; `llmctx reconcile` shows the stop that stood before it, and who set it")


def _named(mandate: Mandate) -> dict[str, str]:
    return {"by": visible(mandate.by), "why": mandate.why}


def _print(entry: Entry, place: str, found: LimitsAt, people: list[str]) -> None:
    verdict = found.verdict
    out.print(
        f"[bold]record {place}[/]  {escape(entry.record.get('symbol', ''))}  asked {coloured(found.asked)}, allowed "
        f"{coloured(verdict['action'])} {verdict.get('quantity', '')}: {escape(verdict['reason'])}"
    )
    if found.mandate is None:
        out.print("[bold]mandate[/]    none: nothing limited it")
        return
    by = escape(found.mandate.by) or "nobody who is named"
    why = f": {escape(found.mandate.why)}" if found.mandate.why else ""
    out.print(f"[bold]mandate[/]    {found.mandate.sha256}, set by {by}{why}")
    for said in people:
        out.print(f"[bold]people[/]     {escape(said)}")
    for rule in found.rules:
        colour = _COLOURS.get(rule.outcome, "dim")
        detail = f": {escape(rule.detail)}" if rule.detail else ""
        out.print(f"  [{colour}]{rule.outcome:<11}[/] {rule.rule:<16} {escape(rule.limits)}{detail}")
    if not found.limited:
        out.print("  no limit holds it back: the mandate judges add, reduce and adjust_stops")
    words = "the evidence yields this verdict again" if found.reproduced else "not reproduced by this version"
    out.print(f"[bold]within[/]     {words}; `llmctx verify` proves that record and mandate are unaltered")
