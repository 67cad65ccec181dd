"""`llmctx mandate`: the limits in force, and what other limits would have done."""

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llmctx.cli.shared.mandates import MandateFile, limit_lines, read_mandate
from llmctx.cli.shared.options import AsJson, From, RedisUrl, StateDir
from llmctx.cli.shared.output import escape, out, print_json
from llmctx.cli.shared.setup import settings_for
from llmctx.cli.shared.sources import no_match, recordings_of, selection_of
from llmctx.decision.mandate.mandate import PRUDENT, Limits, Mandate
from llmctx.decision.mandate.rules import RULES
from llmctx.errors import LlmctxError
from llmctx.settings import Settings

if TYPE_CHECKING:
    from llmctx.decision.verdict import Verdict
    from llmctx.replay.mandate_check import JudgedAgain

_MAX_SHOWN = 20


def mandate(
    words: Annotated[
        list[str] | None, typer.Argument(metavar="[check | of ADDRESS]", help="Nothing, check, or of and a record.")
    ] = None,
    on: Annotated[
        str | None, typer.Option("--on", help="The records to judge, a selection as in `llmctx replay --help`.")
    ] = None,
    file: MandateFile = None,
    where: From = None,
    redis_url: RedisUrl = None,
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """Show the limits in force, or judge recorded decisions by them.

    Without arguments: each rule, its limit and its reason. of ADDRESS says whether one recorded decision was within the
    limits in force at its time: who set them, and each rule with its limit then and its result. check judges the
    answers of recorded decisions again, under the mandate of each record and under the one in the settings or in FILE,
    and shows what would have been done instead, rule by rule. Limits that several positions share are checked over all
    records, in the order of their times. No model is asked; prices and positions stay as recorded.

    \b
    llmctx mandate
    LLMCTX_MANDATE__ADDS_PER_DAY=1 llmctx mandate check --on symbol=ACME
    llmctx mandate check --mandate strict.toml --from ./export
    llmctx mandate of 12 --from ./export
    """
    settings = settings_for(redis_url, state_dir)
    shown = settings.mandate if file is None else read_mandate(file)
    match words or []:
        case []:
            _show(shown, as_json=as_json)
        case ["check"]:
            found = asyncio.run(_check(settings, where, on or "all", shown))
            _print_check(found, shown, as_json=as_json)
        case ["of", address]:
            from llmctx.cli.look.mandate_of import show_limits_at

            asyncio.run(show_limits_at(settings, where, address, as_json=as_json))
        case other:
            raise LlmctxError(
                f"`llmctx mandate` has no action {' '.join(other)!r}.",
                "Write `llmctx mandate`, `llmctx mandate of ADDRESS` or `llmctx mandate check --on SELECTION`.",
                exit_code=2,
            )


def _show(mandate: Mandate, *, as_json: bool) -> None:
    if as_json:
        print_json({"sha256": mandate.sha256} | mandate.model_dump(mode="json", exclude_unset=True))
        return
    out.print(f"[bold]mandate[/]  {mandate.sha256}" + (f", set by {escape(mandate.by)}" if mandate.by else ""))
    if mandate.why:
        out.print(f"         {escape(mandate.why)}")
    for rule in RULES:
        out.print(f"\n[bold]{rule.name}[/] for {', '.join(rule.actions)}: {rule.reason}")
        for name in rule.limits:
            out.print(f"  {name:<18} {escape(_limit(mandate.account, name))}")
    for name, total in (("gross_max", mandate.gross_max), ("net_max", mandate.net_max)):
        out.print(f"\n[bold]{name}[/] of all positions  {'no limit' if total is None else total}")
    for name, group in mandate.groups.items():
        if group.gross_max is not None:
            out.print(f"\n[bold]gross_max[/] of group {escape(name)}  {group.gross_max}")
    others = {f"group {name}, {', '.join(group.symbols)}": group.limits for name, group in mandate.groups.items()}
    others |= {f"symbol {name}": limits for name, limits in mandate.symbols.items()} | {"shorts": mandate.shorts}
    for name, limits in others.items():
        for limit in sorted(limits.model_fields_set):
            out.print(f"\n[bold]{escape(name)}[/]  {limit} {escape(_limit(limits, limit))}")


def _limit(limits: Limits, name: str) -> str:
    value = getattr(limits, name)
    if isinstance(value, dict):
        value = "; ".join(f"{action}: {', '.join(sections)}" for action, sections in value.items())
    usual = "" if limits.__dict__.get(name) == getattr(PRUDENT, name) else ", changed"
    return ("no limit" if value is None else str(value)) + usual


async def _check(settings: Settings, where: str | None, on: str, mandate: Mandate) -> "list[JudgedAgain]":
    from llmctx.replay.mandate_check import judge_again

    text, selection = selection_of(on)
    async with recordings_of(settings, where) as recordings:
        entries = [entry async for entry in recordings.select(selection)]
        if not entries:
            raise no_match(text, recordings, where)
        return list(judge_again(entries, recordings.blobs, mandate))


def _print_check(found: "list[JudgedAgain]", mandate: Mandate, *, as_json: bool) -> None:
    from llmctx.leaf_fields import verdict_fields
    from llmctx.replay.limit_changes import limit_changes

    differing = [each for each in found if each.differs]
    limits = limit_changes((verdict_fields(each.before), verdict_fields(each.after)) for each in found)
    if as_json:
        for each in differing:
            judged = {"recorded": _fields(each.before), "instead": _fields(each.after)}
            print_json({**vars(each.place), "symbol": each.package.symbol} | judged)
        counts = {"mandate": mandate.sha256, "decisions": len(found), "differing": len(differing)}
        print_json(counts | {"limits": [limit._asdict() for limit in limits]})
        return
    for each in differing[:_MAX_SHOWN]:
        partition = f"{each.place.partition}:" if each.place.partition else ""
        change = f"{_said(each.before)} -> [bold]{_said(each.after)}[/]"
        out.print(f"{partition}{each.place.index} {escape(each.package.symbol)}  {change}  {escape(each.after.reason)}")
    if len(differing) > _MAX_SHOWN:
        out.print(f"and {len(differing) - _MAX_SHOWN} more; --json lists them all")
    out.print(f"{len(differing)} of {len(found)} decisions would differ.")
    for line in limit_lines(limits):
        out.print(f"  {escape(line)}")


def _said(verdict: "Verdict") -> str:
    parts = (verdict.quantity, verdict.stop_loss, verdict.take_profit)
    return " ".join([verdict.action, *(format(part, "f") for part in parts if part is not None)])


def _fields(verdict: "Verdict") -> dict[str, Any]:
    fields = {"action": verdict.action, "reason": verdict.reason, "limited": verdict.limited}
    levels = {name: getattr(verdict, name) for name in ("quantity", "stop_loss", "take_profit")}
    return fields | {name: None if value is None else format(value, "f") for name, value in levels.items()}
