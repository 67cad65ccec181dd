"""How a record is printed: on one line, or its decision, grounding and verdict in full."""

from typing import TYPE_CHECKING, Any

from llmctx import clock
from llmctx.cli.shared.output import coloured, escape, out

if TYPE_CHECKING:
    from llmctx.console.story import Story

_MAX_SHOWN = 3
"""Wrong numbers and guardrails that a brief record lists."""


def record_line(where: str, record: dict[str, Any]) -> str:
    """A record on one line, as markup: address, symbol, action, confidence, and the reasoning or the reason."""
    verdict, decision = record["verdict"], record.get("decision")
    action = str(verdict["action"])
    confidence = "" if decision is None else f" {decision['confidence']}"
    conflated = record.get("conflated")
    also = f" (+{len(conflated)} ticks)" if conflated else ""
    text = verdict["reason"] if decision is None or verdict.get("guards") else decision["reasoning"]
    return f"{where:>6}  {record.get('symbol', ''):<6} {coloured(action):<6}{confidence}  {escape(str(text))}{also}"


def print_fields(fields: dict[str, Any]) -> None:
    """Print name and value on a line each, leaving out those that are None."""
    for name, value in fields.items():
        if value is not None:
            out.print(f"  {name:<12} {escape(str(value))}")


def _tried(record: dict[str, Any]) -> list[dict[str, str]]:
    """The endpoints that were tried or skipped before the one described."""
    tried: list[dict[str, str]] = record.get("completion", {}).get("tried", [])
    return tried


def print_brief(story: "Story", place: str, covered: str) -> None:
    """Print a record in a few lines: why it was made, what was decided, and which checkpoint covers it."""
    record, brief = story.record, story.brief
    verdict, usage = record["verdict"], record.get("completion", {}).get("usage")
    action = f"{coloured(brief.action)} {escape(brief.amounts)}"
    out.print(f"[bold]record {place}[/]  {brief.kind}  {escape(brief.symbol)}  {action}")
    at = "" if brief.at_ms is None else f"{clock.iso(brief.at_ms)}, "
    conflated = record.get("conflated")
    also = f", which settles {len(conflated)} more" if conflated else ""
    tokens = "" if usage is None else f", {usage['prompt']:,} + {usage['completion']:,} tokens"
    in_vain = ", ".join(f"{tried['endpoint']} {tried['outcome']}" for tried in _tried(record))
    print_fields(
        {
            "as of": f"{at}recorded {clock.iso(record['recorded_at_ms'])} by {record['code']}",
            "why": f"{record['cause']}, tick {record['tick']}{also}" if "tick" in record else None,
            "known": _known_text(story),
            "asked": None if brief.prompt is None else f"{brief.prompt} of {brief.model or 'no model'}{tokens}",
            "in vain": in_vain or None,
            "answered": None if brief.decided is None else f"{brief.decided}, confidence {brief.confidence}",
            "": brief.words,
        }
    )
    for finding in story.findings[:_MAX_SHOWN]:
        fact = f", which is {finding['fact']}" if "fact" in finding else ""
        print_fields(
            {"wrong": f"{finding.get('text', finding.get('value'))}: {finding.get('why', 'no such fact')}{fact}"}
        )
    for guard in verdict.get("guards", [])[:_MAX_SHOWN]:
        print_fields({"guard": f"{guard['name']}: {guard['detail']}"})
    print_fields({"verdict": verdict["reason"], "leaf hash": story.entry.leaf_hash, "proof": covered})
    out.print(f"  [dim]all its evidence: llmctx show {place} --full; a proof to keep: llmctx receipt {place}[/]")


def _known_text(story: "Story") -> str | None:
    """The statuses of the sections, with the names of all that were not fresh."""
    if story.unread is not None:
        return f"this version cannot read it ({story.unread}); --json prints it unchanged"
    if not story.known:
        return None
    by_status: dict[str, list[str]] = {}
    for section in story.known:
        age = f" ({section.age})" if section.status == "stale" else ""
        by_status.setdefault(section.status, []).append(section.name + age)
    fresh = len(by_status.pop("fresh", []))
    rest = "; ".join(f"{status}: {', '.join(names)}" for status, names in by_status.items())
    return f"{fresh} of {len(story.known)} sections fresh" + (f"; {rest}" if rest else "")


def print_verdict(record: dict[str, Any]) -> None:
    """Print the decision, the grounding and the verdict of a record."""
    decision, verdict = record.get("decision"), record["verdict"]
    if decision is not None:
        out.print(f"[bold]decision[/]  {coloured(decision['action'])}, confidence {decision['confidence']}")
        print_fields({name: decision.get(name) for name in ("quantity", "stop_loss", "take_profit", "reasoning")})
        for item in decision["evidence"]:
            print_fields({"evidence": f"{item['path']} = {item['value']} ({item['reading']})"})
        print_fields({"invalidation": decision["invalidation"], "valid for": f"{decision['valid_for']} min"})
    if "grounding" in record:
        _print_grounding(record["grounding"])
    if "reasked" in record:
        _print_reasked(record["reasked"])
    out.print(f"[bold]verdict[/]   {coloured(verdict['action'])}")
    print_fields({name: verdict.get(name) for name in ("quantity", "stop_loss", "take_profit")})
    for guard in verdict.get("guards", []):
        print_fields({"guard": f"{guard['name']}: {guard['detail']}"})
    print_fields({"reason": verdict["reason"]})


def _print_reasked(reasked: dict[str, Any]) -> None:
    """Print why the model was asked a second time."""
    wrong = f"its form ({reasked['misfit']})" if "misfit" in reasked else "prices"
    print_fields({"asked again": f"because of {wrong} in the first answer, which is among the messages below"})
    if "grounding" in reasked:
        _print_grounding(reasked["grounding"])


def _print_grounding(grounding: dict[str, Any]) -> None:
    """How many numbers of an answer were cited, and which citations and prices are wrong."""
    if "cited" not in grounding:
        _print_grounding_of_0_1_0(grounding)
        return
    miscited, false_prices = grounding.get("miscited", []), grounding.get("false_prices", [])
    out.print(
        f"[bold]grounding[/] numbers: {grounding['cited']} cited, {grounding['uncited']} uncited, "
        f"{grounding['unread']} unread; {len(miscited)} miscited, {len(false_prices)} false prices"
    )
    for name, items in (("miscited", miscited), ("false price", false_prices)):
        for item in items:
            fact = f", which is {item['fact']}" if "fact" in item else ""
            print_fields({name: f"{item['text']} in {item['field']}: {item['why']} ({item['citation']}{fact})"})


def _print_grounding_of_0_1_0(grounding: dict[str, Any]) -> None:
    """The same for a record of 0.1.0, whose prompts did not ask for citations."""
    miscited, unsupported = grounding.get("miscited", []), grounding.get("unsupported", [])
    out.print(
        f"[bold]grounding[/] {grounding['evidence'] - len(miscited)} of {grounding['evidence']} evidence items and "
        f"{grounding['numbers'] - len(unsupported)} of {grounding['numbers']} numbers match the facts"
    )
    for item in miscited:
        print_fields({"miscited": f"{item['path']} = {item['value']}: {item['why']}{_nearest(item)}"})
    for item in unsupported:
        print_fields({"unsupported": f"{item['text']} in the {item['field']}{_nearest(item)}"})


def _nearest(item: dict[str, Any]) -> str:
    return f"; nearest is {item['nearest']} = {item['fact']}" if "nearest" in item else ""
