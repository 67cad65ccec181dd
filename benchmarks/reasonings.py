"""Labelled reasonings: texts in the words of many models, filled with the numbers of real packages, some of them false.

A text has its numbers in slots (`{stop:.2f}`); what a slot says is worked out here from the raw values, apart from the
code under test. Each text is filled from several packages: once with true numbers, once with some planted false ones.
Numbers outside of slots are no claims. `tuned.txt` was looked at while grounding was written, `held_out.txt` was not.
The foreign ones are by other authors, who had not read the rules, after the manner of other systems' models;
`foreign_a.txt` and `foreign_c.txt` were tuned on afterwards, `foreign_b.txt` was not looked at. foreign_c has packages
of its own, with prices of every size, and plants wrong signs too.
"""

import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.derived import derived
from benchmarks.planted import FLIPPED, PRICES, fitted, made_up, may_turn
from benchmarks.stated import stated
from llmctx.context.package import Package, build_package
from llmctx.context.snapshot import Snapshot

ASSETS = Path(__file__).parent.parent / "tests" / "assets" / "grounding"
HALVES = ("tuned", "foreign_a", "foreign_b", "foreign_c", "held_out")
HELD_OUT = ("foreign_b", "held_out")
"""Those that nobody looked at while the rules were written."""
PACKAGES = {"foreign_c": "packages_c.jsonl"}
"""The sets that are filled from packages of their own, and have wrong signs planted too."""
FILLINGS = 4
"""How many packages each text is filled from."""

OTHERS = frozenset({"cand_price", "other_price"})
"""Prices of other symbols."""

_SLOT = re.compile(r"\{(\w+)(?::([^}]+))?\}|\{\{|\}\}")


class Reasoning(NamedTuple):
    """One labelled text."""

    package: Package
    text: str
    true: tuple[tuple[int, int], ...]
    """Where the true numbers stand, from and to."""
    planted: tuple[tuple[int, int], ...]
    """Where the false ones stand."""
    prices: tuple[tuple[int, int], ...] = ()
    """Where prices of the symbol stand among the false ones."""


def packages(half: str = "tuned") -> list[Package]:
    """Those of the simulated session, or a set's own, which other systems might have written."""
    lines = (ASSETS / PACKAGES.get(half, "packages.jsonl")).read_text(encoding="utf-8").split("\n")
    return [build_package(Snapshot.from_evidence(line.encode())) for line in lines if line]


def reasonings(half: str, of: list[Package] | None = None, *, seed: int = 11) -> Iterator[Reasoning]:
    """The labelled texts of a half, the same every time."""
    chance = random.Random(f"{half}:{seed}")
    texts = (ASSETS / f"{half}.txt").read_text(encoding="utf-8").split("%%\n")
    known = [(package, slots_of(package)) for package in (of or packages(half))]
    for text in texts:
        names = {match[1] for match in _SLOT.finditer(text) if match[1]}
        able = [(package, slots) for package, slots in known if names <= slots.keys()]
        for number, (package, slots) in enumerate(chance.sample(able, min(FILLINGS, len(able)))):
            signs = FLIPPED if half in PACKAGES else 0.0
            yield _filled(text.strip(), package, slots, chance, plant=number % 2 == 1, signs=signs)


def _filled(
    text: str, package: Package, slots: dict[str, Any], chance: random.Random, *, plant: bool, signs: float
) -> Reasoning:
    numeric = [match.start() for match in _SLOT.finditer(text) if match[2]]
    chosen = set(chance.sample(numeric, min(len(numeric), chance.choice((1, 1, 2))))) if plant else set()
    made, last = "", 0
    true: list[tuple[int, int]] = []
    planted: list[tuple[int, int]] = []
    prices: list[tuple[int, int]] = []
    for match in _SLOT.finditer(text):
        made += text[last : match.start()]
        last = match.end()
        if not match[1]:
            made += match[0][0]
            continue
        spec = fitted(match[2] or "", slots["last"])
        shown = format(slots[match[1]], spec)
        false = match.start() in chosen
        if false and signs and may_turn(match[1], shown) and chance.random() < signs:
            shown = format(-float(slots[match[1]]), spec)
        elif false:
            shown = made_up(match[1], float(slots[match[1]]), spec, shown, chance)
        if match[2]:
            (planted if false else true).append((len(made), len(made) + len(shown)))
            if false and match[1] in PRICES - OTHERS:
                prices.append(planted[-1])
        made += shown
    return Reasoning(package, made + text[last:], tuple(true), tuple(planted), tuple(prices))


def slots_of(package: Package) -> dict[str, Any]:
    """What each slot says of a package; a slot that has nothing to say is left out."""
    raw = {name: section.value.model_dump() for name, section in package.sections.items() if section.value is not None}
    found: dict[str, Any] = {"sym": package.symbol, **_position(raw), **_surroundings(raw)}
    found |= derived(raw, found)
    found |= stated(raw, found)
    return {name: value for name, value in found.items() if value is not None}


def _at(raw: dict[str, Any], path: str) -> Any:
    value: Any = raw
    for part in path.split("/"):
        if isinstance(value, list):
            value = value[int(part)] if int(part) < len(value) else None
        elif isinstance(value, dict):
            value = value.get(part)
    return value if isinstance(value, str) or value is None else float(value)


def _position(raw: dict[str, Any]) -> dict[str, Any]:
    last, entry, quantity = (
        _at(raw, "price/price/last"), _at(raw, "position/entry_price"), _at(raw, "position/quantity"),
    )  # fmt: skip
    stop, target = _at(raw, "position/stop_loss"), _at(raw, "position/take_profit")
    pnl, pnlpct = _at(raw, "position/unrealized_pnl"), _at(raw, "position/unrealized_pnl_pct")
    upper, lower = _at(raw, "indicators/bollinger_upper"), _at(raw, "indicators/bollinger_lower")
    macd, signal = _at(raw, "indicators/macd"), _at(raw, "indicators/macd_signal")
    ohl = {name: _at(raw, f"price/price/{name}") for name in ("open", "high", "low")}
    volume = _at(raw, "price/price/volume")
    found = {
        "last": last, "entry": entry, "qty": quantity, "half": quantity // 2, "stop": stop, "target": target,
        "side": _at(raw, "position/side"), "pnl": pnl, "pnlpct": pnlpct, "a_pnl": abs(pnl), "a_pnlpct": abs(pnlpct),
        "gainloss": "gain" if pnl >= 0 else "loss", "updown": "up" if pnl >= 0 else "down", **ohl, "volume": volume,
        "vol_k": volume / 1e3, "vol_m": volume / 1e6, "d_entry": abs(last - entry), "worth": quantity * last,
        "p_entry": abs(last - entry) / entry * 100, "p_open": abs(last - ohl["open"]) / ohl["open"] * 100,
        "worth_k": quantity * last / 1e3, "p_high": abs(ohl["high"] - last) / ohl["high"] * 100,
        "p_low": abs(last - ohl["low"]) / ohl["low"] * 100, "rsi": _at(raw, "indicators/rsi_14"), "macd": macd,
        "sig": signal,
    }  # fmt: skip
    if macd is not None and signal is not None:
        found |= {"hist": macd - signal, "a_hist": abs(macd - signal)}
    if upper is not None:
        found |= {
            "up": upper, "lo": lower, "width": upper - lower, "d_up": abs(upper - last),
            "p_up": abs(upper - last) / upper * 100, "p_lo": abs(last - lower) / lower * 100,
        }  # fmt: skip
    if stop is not None and target is not None:
        found |= {
            "d_stop": abs(last - stop), "p_stop": abs(last - stop) / last * 100, "d_target": abs(target - last),
            "p_target": abs(target - last) / last * 100, "r_stop": abs(entry - stop),
            "p_risk": abs(entry - stop) / entry * 100, "risk_entry": abs(entry - stop) * quantity,
            "risk_money": abs(last - stop) * quantity, "bps_stop": abs(last - stop) / last * 1e4,
            "bps_target": abs(target - last) / last * 1e4, "d_up_entry": abs(target - entry),
            "p_up_entry": abs(target - entry) / entry * 100,
        }  # fmt: skip
        if stop not in (last, entry):
            found |= {
                "rr_now": abs(target - last) / abs(last - stop),
                "rr_entry": abs(target - entry) / abs(entry - stop),
            }
    return found


def _surroundings(raw: dict[str, Any]) -> dict[str, Any]:
    paths = {
        "rsi1m": "monitoring/technical_signals/rsi_1m/value",
        "leveltype": "monitoring/technical_signals/support_resistance/type",
        "level": "monitoring/technical_signals/support_resistance/next_level", "reason": "signals.entry/reason",
        "sigprice": "signals.entry/price", "sigconf": "signals.entry/confidence", "news": "sentiment/news_count",
        "sent": "sentiment/sentiment_score", "label": "sentiment/sentiment_label", "daily": "performance/daily_pnl",
        "dailypct": "performance/daily_pnl_pct", "wins": "performance/win_count", "losses": "performance/loss_count",
        "winrate": "performance/win_rate", "avgw": "performance/avg_win", "avgl": "performance/avg_loss",
        "largew": "performance/largest_win", "largel": "performance/largest_loss", "vix": "market/vix",
        "tech": "market/sector_performance/technology", "energy": "market/sector_performance/energy",
        "fin": "market/sector_performance/financials", "health": "market/sector_performance/healthcare",
        "adv": "market/market_breadth/advancing", "dec": "market/market_breadth/declining",
        "poscount": "system/active_positions_count", "cand_score": "candidates/0/score",
        "cand_price": "candidates/0/price",
    }  # fmt: skip
    found = {name: _at(raw, path) for name, path in paths.items()}
    last = float(raw["price"]["price"]["last"])
    if found["level"] is not None:
        found["p_level"] = abs(found["level"] - last) / last * 100
    for name, scaled in (("sent", "sent_pct"), ("sigconf", "sigconf100"), ("winrate", "winrate100")):
        found[scaled] = None if found[name] is None else found[name] * 100
    if found["wins"] is not None:
        found["trades"] = found["wins"] + found["losses"]
    if found["avgl"] is not None:
        found["a_avgl"] = abs(found["avgl"])
    if found["largel"] is not None:
        found["a_largel"] = abs(found["largel"])
    if found["adv"] is not None and found["adv"] + found["dec"]:
        found["advpct"] = found["adv"] / (found["adv"] + found["dec"]) * 100
    return found
