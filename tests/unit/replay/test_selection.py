import re
from pathlib import Path

import pytest

from llmctx import clock
from llmctx.decision import guards, stop
from llmctx.decision.mandate.rules import RULES
from llmctx.decision.reservation import EXPOSURE
from llmctx.errors import CorpusError
from llmctx.replay.selection import GUARDS, Selection, moment_ms, parse_selection, with_absolute_times
from tests.unit.makers import NOW, NOW_MS

from .cases import case


@pytest.mark.parametrize(
    ("text", "selection"),
    [
        ("all", Selection()),
        ("", Selection()),
        ("12", Selection(first=12, last=12)),
        ("40-80", Selection(first=40, last=80)),
        ("40-", Selection(first=40)),
        ("-80", Selection(last=80)),
        ("2:5-9", Selection(partition=2, first=5, last=9)),
        ("symbol=BRK.B, limit=3", Selection(symbol="BRK.B", limit=3)),
        ("action=exit,guard=quantity_cap,kind=failed", Selection(action="exit", guard="quantity_cap", kind="failed")),
        (f"since={NOW},until={NOW}", Selection(since_ms=NOW_MS, until_ms=NOW_MS)),
    ],
)
def test_a_text_is_parsed_as_a_selection(text: str, selection: Selection) -> None:
    assert parse_selection(text) == selection


MALFORMED = "x - 1-2-3 a=b symbol= limit=0 limit=-1 limit=x since=yesterday 1: since=15x"


@pytest.mark.parametrize("text", [*MALFORMED.split(), "symbol=A,symbol=B"])
def test_a_malformed_term_is_named(text: str) -> None:
    with pytest.raises(CorpusError, match="selection"):
        parse_selection(text)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("all", True), ("7", True), ("8-", False), ("-6", False), ("0:7", True), ("1:7", False),
        ("symbol=AAPL", True), ("symbol=MSFT", False), ("action=hold", True), ("action=exit", False),
        ("guard=confidence_floor", True), ("guard=stale_price", False), ("kind=decision", True), ("kind=failed", False),
        (f"since={NOW}", True), (f"until={NOW}", False), (f"since={clock.iso(NOW_MS + 1)}", False),
        (f"until={clock.iso(NOW_MS + 1)}", True),
    ],
)  # fmt: skip
def test_a_selection_includes_the_records_it_describes(text: str, *, wanted: bool) -> None:
    unsure = case(7, said={"action": "exit", "confidence": 0.2})
    assert parse_selection(text).includes(unsure) is wanted


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("action=sell", "no action 'sell'.* hold, exit, reduce, add, adjust_stops, none"),
        ("kind=decisions", "no kind 'decisions'.* decision, failed, skipped"),
        ("guard=nope", "no guard 'nope'.* no_answer, unasked, judging_failed, confidence_floor"),
        ("80-40", "80 comes after 40; write 40-80"),
        ("1-2,3-4", "has two ranges"),
        ("1,0:2", "has two ranges"),
        (f"since={NOW},since={NOW}", "has since twice"),
    ],
)
def test_an_impossible_value_is_reported_with_the_possible_ones(text: str, says: str) -> None:
    with pytest.raises(CorpusError, match=re.compile(says, re.DOTALL)):
        parse_selection(text)


def test_the_guards_are_those_that_fire() -> None:
    _, checks = Path(guards.__file__).read_text(encoding="utf-8").split("def _confidence_floor")
    named = re.findall(r'fire\(\s*("?\w+"?)', checks)
    of_stop = (stop.STOP_UNCONFIRMED, stop.STALE, stop.STOP_BREACHED)
    assert named.pop() == "name", "the stop's guard, which fires by the names above"
    of_mandate = (*(rule.name for rule in RULES), guards.UNCHECKED, getattr(guards, named.pop()))
    assert named.pop() == "rule", "the mandate's rules, each by its name"
    fired = [name.strip('"') if '"' in name else getattr(guards, name) for name in named]
    before = (guards.NO_ANSWER, guards.UNASKED, guards.JUDGING_FAILED, *dict.fromkeys(fired))
    assert (*before, *of_mandate, *of_stop, guards.EXIT_PENDING, EXPOSURE) == GUARDS


def test_a_time_of_day_is_the_last_one_in_utc() -> None:
    before_ms = clock.now_ms()
    for text in ("00:00", "12:30", "23:59"):
        found = clock.from_ms(moment_ms(text))
        assert f"{found:%H:%M:%S}" == f"{text}:00"
        assert clock.now_ms() - 86_400_000 < clock.to_ms(found) <= clock.now_ms()
    assert with_absolute_times("until=00:00") in {
        f"until={clock.iso(ms)[:10]}T00:00:00.000Z" for ms in (before_ms, clock.now_ms())
    }
    with pytest.raises(ValueError, match="24:00"):
        moment_ms("24:00")


def test_relative_times_become_absolute() -> None:
    before_ms = clock.now_ms()
    text = with_absolute_times("all, since=15m,limit=3")
    since_ms = parse_selection(text).since_ms
    assert since_ms is not None
    assert before_ms <= since_ms + 15 * 60_000 <= clock.now_ms()
    assert parse_selection(with_absolute_times(text)) == parse_selection(text)
    assert with_absolute_times("symbol=AAPL,until=2026-03-02T14:30:00Z") == "symbol=AAPL,until=2026-03-02T14:30:00Z"
