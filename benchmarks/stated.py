"""What other systems' models state beside prices and brackets: unknown fields, ranking, headlines, the last decision.

Worked out from the raw values, apart from the code under test. A figure that a package has no say on is left out.
"""

import re
from datetime import datetime
from typing import Any

Raw = dict[str, Any]
"""The sections by name, as plain values."""

_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_SECTORS = ("technology", "healthcare", "financials", "consumer", "energy")


def stated(raw: Raw, slots: dict[str, Any]) -> dict[str, Any]:
    """Figures and words of sections, and what is worked out of them and of `slots`."""
    return {
        **_of_unknown_fields(raw, slots), **_of_moves(slots), **_of_ranking(raw, slots), **_of_market(raw, slots),
        **_of_day(slots), **_of_news(raw), **_of_thesis(raw, slots), **_of_signals(raw, slots),
    }  # fmt: skip


def _side_of(value: float | None, line: float | None) -> str | None:
    """Where a value stands against a line, in a word."""
    if value is None or line is None or value == line:
        return None
    return "above" if value > line else "below"


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _of_unknown_fields(raw: Raw, slots: dict[str, Any]) -> dict[str, Any]:
    indicators, last = raw.get("indicators") or {}, slots["last"]
    atr, fast, slow = (_number(indicators.get(name)) for name in ("atr_14", "ema_20", "ema_50"))
    vwap, stop = _number(raw["price"]["price"].get("vwap")), slots.get("stop")
    found = {
        "atr": atr, "ema20": fast, "ema50": slow, "volratio": _number(indicators.get("volume_ratio")), "vwap": vwap,
        "above_ema": _side_of(last, fast), "above_ema50": _side_of(last, slow), "above_vwap": _side_of(last, vwap),
    }  # fmt: skip
    if atr is not None:
        found |= {"p_atr": atr / last * 100, "move_atr": slots["d_entry"] / atr}
        found["stop_atr"] = None if stop is None else slots["d_stop"] / atr
    if fast is not None:
        found |= {"d_ema20": abs(last - fast), "p_ema20": abs(last - fast) / fast * 100}
    return found | {"d_vwap": None if vwap is None else abs(last - vwap)}


def _of_moves(slots: dict[str, Any]) -> dict[str, Any]:
    last, entry, first, rsi = slots["last"], slots["entry"], slots["open"], slots.get("rsi")
    macd, signal, middle, target = (slots.get(name) for name in ("macd", "sig", "bbmid", "target"))
    return {
        "s_entry": (last - entry) / entry * 100, "s_open": (last - first) / first * 100, "d_open": abs(last - first),
        "p_range": (slots["high"] - slots["low"]) / first * 100, "entry_bps": abs(last - entry) / entry * 1e4,
        "above_entry": _side_of(last, entry), "above_open": _side_of(last, first), "above_mid": _side_of(last, middle),
        "above_sig": _side_of(macd, signal), "above_50": _side_of(rsi, 50),
        "rsi_50": None if rsi is None else abs(rsi - 50), "mid_lt": None if target is None else (last + target) / 2,
        "bewin": 100 / (1 + slots["rr_now"]) if "rr_now" in slots else None,
        "risk_bps": slots["p_risk"] * 100 if "p_risk" in slots else None,
        "risk_k": slots["risk_money"] / 1e3 if "risk_money" in slots else None,
    }  # fmt: skip


def _of_ranking(raw: Raw, slots: dict[str, Any]) -> dict[str, Any]:
    ranked, symbol = raw.get("candidates") or [], slots["sym"]
    own = [number for number, candidate in enumerate(ranked) if candidate["symbol"] == symbol]
    found: dict[str, Any] = {"ranked": float(len(ranked)) if ranked else None}
    if own:
        found |= {"rank": own[0] + 1.0, "myscore": float(ranked[own[0]]["score"])}
        found["d_score"] = float(ranked[0]["score"]) - found["myscore"] or None
    others = [candidate for candidate in ranked[1:] if candidate["symbol"] != symbol]
    if others:
        found |= {"other_sym": others[0]["symbol"], "other_price": float(others[0]["price"])}
        found |= {"other_score": float(others[0]["score"])}
    return found


def _of_market(raw: Raw, slots: dict[str, Any]) -> dict[str, Any]:
    market, up, down = raw.get("market") or {}, slots.get("adv"), slots.get("dec")
    sectors = {name: float(move) for name, move in (market.get("sector_performance") or {}).items()}
    found: dict[str, Any] = {"regime": (market.get("market_regime") or "").replace("_", " ") or None}
    if set(_SECTORS) <= sectors.keys():
        best, worst = max(sectors, key=sectors.__getitem__), min(sectors, key=sectors.__getitem__)
        found |= {"best": best, "bestmove": sectors[best], "worst": worst, "worstmove": sectors[worst]}
        found["consumer"] = sectors["consumer"]
    if up and down:
        found |= {"adratio": up / down, "decpct": down / (up + down) * 100, "more": "up" if up > down else "down"}
        found["unch"] = _number(market["market_breadth"].get("unchanged"))
    return found


def _of_day(slots: dict[str, Any]) -> dict[str, Any]:
    daily, share, rate = slots.get("daily"), slots.get("dailypct"), slots.get("winrate")
    won, lost, wins, losses = (slots.get(name) for name in ("avgw", "avgl", "wins", "losses"))
    found: dict[str, Any] = {"poscount_word": _word(slots.get("poscount"))}
    found |= {"wins_word": _word(wins), "losses_word": _word(losses)}
    if daily is not None and share is not None:
        found |= {"a_daily": abs(daily), "a_dailypct": abs(share), "dayupdown": "up" if daily > 0 else "down"}
    if won is not None and lost and wins is not None and losses and rate is not None:
        found |= {"expectancy": rate * won + (1 - rate) * lost, "pf": wins * won / (losses * abs(lost))}
    return found


def _word(count: float | None) -> str | None:
    return _WORDS[int(count)] if count is not None and count < len(_WORDS) else None


def _of_news(raw: Raw) -> dict[str, Any]:
    news = (raw.get("sentiment") or {}).get("latest_news") or []
    headlines = [item["headline"] for item in news]
    share, sum_of = (
        next((float(got[1]) for line in headlines if (got := re.search(form, line))), None)
        for form in (r"(\d+)%", r"\$(\d+) million")
    )
    return {"headline": headlines[0] if headlines else None, "headpct": share, "headmn": sum_of}


def _of_thesis(raw: Raw, slots: dict[str, Any]) -> dict[str, Any]:
    thesis = raw.get("thesis")
    if not thesis:
        return {}
    told = re.match(r"At ([\d.]+) ", thesis.get("reasoning") or "")
    price = float(told[1]) if told else None
    return {
        "prevact": thesis["decided"].replace("_", " "), "prevprice": price,
        "d_prev": None if price is None else abs(slots["last"] - price) or None,
        "prevmins": _minutes_between(thesis["as_of"], raw["price"]["timestamp"]),
        "prevvalid": _number(thesis.get("valid_for")),
    }  # fmt: skip


def _of_signals(raw: Raw, slots: dict[str, Any]) -> dict[str, Any]:
    entry, leave, readings = (
        raw.get("signals.entry") or {}, raw.get("signals.exit") or {},
        (raw.get("monitoring") or {}).get("technical_signals") or {},
    )  # fmt: skip
    five, opened, now = readings.get("macd_5m") or {}, raw["position"]["entry_time"], raw["price"]["timestamp"]
    short = slots.get("rsi1m")
    return {
        "held": slots.get("mins"), "macd5m": _number(five.get("value")), "macd5mword": five.get("signal"),
        "rsi1word": (readings.get("rsi_1m") or {}).get("signal"), "entryclock": f"{opened:%H:%M}",
        "clock": f"{now:%H:%M}", "exitreason": leave.get("reason", "").replace("_", " ") or None,
        "exitrsi": _number((leave.get("indicators") or {}).get("rsi")),
        "signame": entry.get("reason", "").replace("_", " ") or None,
        "sigago": _minutes_between(entry["timestamp"], now) if entry else None,
        "d_rsi": abs(slots["rsi"] - short) if short is not None and slots.get("rsi") is not None else None,
    }  # fmt: skip


def _minutes_between(began: datetime, ended: datetime) -> float:
    return (ended - began).total_seconds() / 60
