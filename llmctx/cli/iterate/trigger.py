"""`llmctx trigger report`: what a trigger would have asked, saved and missed."""

import asyncio
from decimal import Decimal
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from llmctx.cli.shared.options import AsJson, From, RedisUrl, StateDir, parse_amount
from llmctx.cli.shared.output import coloured, escape, out, print_json
from llmctx.cli.shared.setup import settings_for
from llmctx.cli.shared.sources import Selected, no_match, recordings_of, selection_of
from llmctx.decision.trigger import TriggerPolicy
from llmctx.replay.selection import Selection
from llmctx.replay.trigger_report import Calls, TriggerReport
from llmctx.settings import Settings

_MAX_MISSED_SHOWN = 20


def trigger(
    report: Annotated[str, typer.Argument(metavar="report", help="The word report.")],
    selected: Selected = "all",
    where: From = None,
    new_signal: Annotated[bool, typer.Option("--new-signal", help="Ask on a new signal.")] = False,
    fresh_news: Annotated[bool, typer.Option("--fresh-news", help="Ask on a fresh headline.")] = False,
    near_level_pct: Annotated[str | None, typer.Option(help="Ask within N percent of stop or target.")] = None,
    move_pct: Annotated[str | None, typer.Option(help="Ask if the price has moved by N percent.")] = None,
    every_minutes: Annotated[int | None, typer.Option(help="Ask at least every N minutes.", min=1)] = None,
    changed: Annotated[bool, typer.Option("--changed", help="Ask if anything but times changed.")] = False,
    redis_url: RedisUrl = None,
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """Report what a trigger would have asked and missed.

    Goes through recorded decisions in order and says how many calls these settings would have made, what they would
    have cost, and which recorded actions would have been missed. Exits by a breached stop need no call and are never
    missed. Without options: the settings of [trigger].

    \b
    llmctx trigger report symbol=ACME --move-pct 0.5 --every-minutes 15
    llmctx trigger report --from ./export --new-signal --fresh-news
    """
    if report != "report":
        raise typer.BadParameter(f"{report}: write `llmctx trigger report`")
    settings = settings_for(redis_url, state_dir)
    given = {
        "new_signal": new_signal,
        "fresh_news": fresh_news,
        "near_level_pct": parse_amount("--near-level-pct", near_level_pct),
        "move_pct": parse_amount("--move-pct", move_pct),
        "every_minutes": every_minutes,
        "changed": changed,
    }
    policy = _policy(given, settings)
    text, selection = selection_of(selected)
    found = asyncio.run(_report(settings, where, text, selection, policy))
    (_print_json if as_json else _print)(found, policy)


def _policy(given: dict[str, Any], settings: Settings) -> TriggerPolicy:
    if not any(given.values()):
        if settings.trigger is None:
            raise typer.BadParameter("no trigger is set: give one of the options, or set [trigger] in llmctx.toml")
        return settings.trigger
    try:
        return TriggerPolicy.model_validate(given)
    except ValidationError as error:
        problem = error.errors()[0]
        name = "--" + "-".join(str(part) for part in problem["loc"]).replace("_", "-")
        raise typer.BadParameter(f"{name}: {problem['msg']}") from error


async def _report(
    settings: Settings, where: str | None, text: str, selection: Selection, policy: TriggerPolicy
) -> TriggerReport:
    async with recordings_of(settings, where) as recordings:
        report = TriggerReport(policy, settings.prices, recordings.blobs)
        async for entry in recordings.select(selection):
            report.add(entry)
        if not report.recorded.calls:
            raise no_match(text, recordings, where)
    return report


def _print_json(report: TriggerReport, policy: TriggerPolicy) -> None:
    print_json(
        {
            "policy": policy.model_dump(mode="json", exclude_none=True),
            "recorded": _amounts(report.recorded),
            "asked": _amounts(report.asked),
            "unknown": report.unknown,
            "missed": [
                {**vars(missed.entry.place), "symbol": missed.entry.record["symbol"], "action": missed.action,
                 "why_not": missed.why_not}
                for missed in report.missed
            ],
        }
    )  # fmt: skip


def _amounts(calls: Calls) -> dict[str, Any]:
    return {"calls": calls.calls, "tokens": calls.tokens, "cost": f"{calls.cost:f}"}


def _print(report: TriggerReport, policy: TriggerPolicy) -> None:
    recorded, asked = report.recorded, report.asked
    rules = ", ".join(f"{name} {value}" for name, value in policy.model_dump(mode="json").items() if value)
    share = Decimal(100) * asked.calls / recorded.calls
    out.print(f"[bold]trigger[/]   {escape(rules)}")
    out.print(f"[bold]recorded[/]  {_text(recorded)}")
    out.print(f"[bold]asked[/]     {_text(asked)}: {share:.0f}% of the calls")
    if report.unknown:
        out.print(
            f"[yellow]unknown[/]   {report.unknown} unasked ticks would have been asked; their answers are unknown"
        )
    actions = sum(count for action, count in report.actions.items() if action != "hold")
    out.print(f"[bold]missed[/]    {len(report.missed)} of {actions} recorded actions other than hold")
    for missed in report.missed[:_MAX_MISSED_SHOWN]:
        place = missed.entry.place
        where = f"{place.partition}:{place.index} {missed.entry.record['symbol']}"
        out.print(f"  {escape(where)} {coloured(missed.action)}: {escape(missed.why_not)}")
    if (more := len(report.missed) - _MAX_MISSED_SHOWN) > 0:
        out.print(f"  and {more} more; --json lists them all")


def _text(calls: Calls) -> str:
    cost = f", cost {calls.cost:.4f}" if calls.cost else ""
    return f"{calls.calls} calls, {calls.tokens:,} tokens{cost}"
