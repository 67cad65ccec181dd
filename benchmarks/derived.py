"""Figures that models derive from a package: distances in risk units, averages, shares of a way, money, time.

They are computed from the raw values, independently of the code under test. A figure that a package cannot yield is
left out.
"""

from typing import Any

Raw = dict[str, Any]
"""The sections by name, as plain values."""


def derived(raw: Raw, slots: dict[str, Any]) -> dict[str, Any]:
    """Figures worked out of `slots` (prices, distances, counts) and of sections that have no slots of their own."""
    found = {**_of_price(slots), **_of_bracket(slots), **_of_band(slots), **_of_signals(raw, slots), **_of_day(slots)}
    found["watch"] = (raw.get("system") or {}).get("watchlist_count")
    found["prevconf"] = (raw.get("thesis") or {}).get("confidence")
    minutes = _minutes((raw.get("monitoring") or {}).get("time_in_trade"))
    found |= {"mins": minutes, "hours": None if minutes is None else minutes / 60}
    numbers = {name: float(value) for name, value in found.items() if value is not None}
    ranked = raw.get("candidates") or []
    return numbers | {"cand_sym": ranked[0]["symbol"] if ranked else None}


def _of_price(slots: dict[str, Any]) -> dict[str, Any]:
    last, entry, quantity, half = slots["last"], slots["entry"], slots["qty"], slots["half"]
    high, low = slots["high"], slots["low"]
    return {
        "d_high": high - last, "d_low": last - low, "range": high - low,
        "rangepos": (last - low) / (high - low) * 100 if high != low else None,
        "cost": quantity * entry, "cost_k": quantity * entry / 1e3, "rest": quantity - half, "half_worth": half * last,
        "half_pnl": half * abs(last - entry), "c_entry": abs(last - entry) * 100, "mid_el": (last + entry) / 2,
        "qty_cent": quantity / 100, "mid_hl": (high + low) / 2,
    }  # fmt: skip


def _of_bracket(slots: dict[str, Any]) -> dict[str, Any]:
    last, entry, quantity, stop, target = (slots.get(name) for name in ("last", "entry", "qty", "stop", "target"))
    if last is None or entry is None or quantity is None or stop is None or target is None:
        return {}
    way, unit = (last - entry) / (target - entry) * 100, abs(entry - stop)
    return {
        "money_target": abs(target - last) * quantity, "gain_target": abs(target - entry) * quantity,
        "c_stop": abs(last - stop) * 100, "c_target": abs(target - last) * 100, "mid_st": (stop + target) / 2,
        "lvl_1r": (entry + unit if target > entry else entry - unit) if unit else None,
        "progress": way if way > 0 else None, "r_now": abs(last - entry) / unit if unit else None,
        "r_stop_left": abs(last - stop) / unit if unit else None,
        "r_target_left": abs(target - last) / unit if unit else None,
    }  # fmt: skip


def _of_band(slots: dict[str, Any]) -> dict[str, Any]:
    last, upper, lower = slots["last"], slots.get("up"), slots.get("lo")
    if upper is None or lower is None:
        return {}
    middle = (upper + lower) / 2
    return {
        "bbmid": middle, "d_mid": abs(last - middle), "p_width": (upper - lower) / middle * 100,
        "pctb": (last - lower) / (upper - lower) * 100,
    }  # fmt: skip


def _of_signals(raw: Raw, slots: dict[str, Any]) -> dict[str, Any]:
    last, trigger, level = slots["last"], slots.get("sigprice"), slots.get("level")
    entry, leave = raw.get("signals.entry") or {}, raw.get("signals.exit") or {}
    indicators, confidence = entry.get("indicators") or {}, leave.get("confidence")
    return {
        "d_sig": None if trigger is None else abs(last - trigger),
        "p_sig": None if trigger is None else abs(last - trigger) / trigger * 100,
        "d_level": None if level is None else abs(level - last), "sigrsi": indicators.get("rsi"),
        "sigmacd": indicators.get("macd"), "exitprice": leave.get("price"), "exitconf": confidence,
        "exitconf100": None if confidence is None else float(confidence) * 100,
    }  # fmt: skip


def _of_day(slots: dict[str, Any]) -> dict[str, Any]:
    won, lost, up, down = (slots.get(name) for name in ("avgw", "avgl", "adv", "dec"))
    tech, energy = slots.get("tech"), slots.get("energy")
    return {
        "payoff": abs(won / lost) if won is not None and lost else None,
        "netadv": up - down if up is not None and down is not None else None,
        "d_sectors": abs(tech - energy) if tech is not None and energy is not None else None,
    }


def _minutes(text: str | None) -> float | None:
    """Minutes of an HH:MM:SS."""
    if text is None:
        return None
    hours, minutes, _ = text.split(":")
    return int(hours) * 60 + int(minutes)
