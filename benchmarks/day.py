"""A real day for measuring memory: every section of the schema document, changing from minute to minute.

The bars are recorded ones where the shared data lies beside the repository, otherwise simulated ones; what collectors,
screeners and book-keeping would write is derived from them, so that figures move as they do on a day.
"""

import json
import math
import random
from collections import deque
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from llmctx.clock import iso, to_ms
from llmctx.flow.bars import Bar, read_bars
from llmctx.flow.session import simulate

_SHARED = Path(__file__).parents[2] / "shared" / "data"
_SECTORS = ("technology", "healthcare", "financials", "consumer", "energy", "utilities", "materials", "industrials")
_REASONS = ("breakout", "volume_surge", "support_bounce", "macd_cross", "target_reached", "stop_close", "trend_break")
_HEADLINES = (
    "{0} shares move as analysts weigh the quarter's guidance", "Why {0} could surprise again, by the numbers",
    "{0}: unusual options activity before the close", "Traders turn to {0} after sector rotation",
    "{0} supplier reports delays; margins in focus", "Regulator opens inquiry that touches {0} and its peers",
    "Fund filing shows a larger stake in {0}", "{0} reaches its highest volume in three weeks",
)  # fmt: skip


def bars() -> Iterator[Bar]:
    """One-minute bars in time order without an end: the recorded days again and again, a week later each time."""
    recorded = sorted(bar for path in _SHARED.glob("bars_*.csv") for bar in read_bars(path) if isinstance(bar, Bar))
    recorded = recorded or simulate(seed=7, days=2).bars
    week = timedelta(0)
    while True:
        for bar in recorded:
            yield bar._replace(start=bar.start + week)
        week += timedelta(days=7)


class Day:
    """Live keys, bar by bar."""

    def __init__(self) -> None:
        self._random = random.Random(11)
        self._closes: dict[str, deque[float]] = {}
        self._entry: dict[str, tuple[float, str, int]] = {}
        self._news: dict[str, deque[dict[str, str]]] = {}
        self._score = {f"C{n:02}": self._random.random() for n in range(20)}
        self._price = {name: self._random.uniform(8, 400) for name in self._score}
        self._market = {name: self._random.gauss(0, 0.5) for name in _SECTORS}
        self._breadth = [1300.0, 1400.0, 300.0]
        self._signals: dict[str, dict[str, Any]] = {}
        self._pnl = 0.0

    def after(self, bar: Bar) -> dict[str, str]:
        """Every live key of the bar's symbol once the bar is known, as JSON texts."""
        at = bar.start + timedelta(minutes=1)
        closes = self._closes.setdefault(bar.symbol, deque(maxlen=40))
        closes.append(float(bar.close))
        written = {
            f"stocks:price:{bar.symbol}": {
                "price": {
                    "last": float(bar.close), "open": float(bar.open), "high": float(bar.high),
                    "low": float(bar.low), "volume": int(bar.volume),
                },
                "timestamp": iso(to_ms(at)),
            },
            f"stocks:indicators:{bar.symbol}": self._indicators(closes, iso(to_ms(at))),
            f"stocks:sentiment:{bar.symbol}": self._sentiment(bar.symbol, to_ms(at)),
            f"positions:active:{bar.symbol}": self._position(bar, to_ms(at)),
            f"positions:monitoring:{bar.symbol}": self._monitoring(bar, to_ms(at)),
            f"signals:entry:{bar.symbol}": self._signal("entry", bar, to_ms(at)),
            f"signals:exit:{bar.symbol}": self._signal("exit", bar, to_ms(at)),
        } | self._shared(to_ms(at))  # fmt: skip
        return {key: json.dumps(value, separators=(",", ":")) for key, value in written.items()}

    def _indicators(self, closes: deque[float], now: str) -> dict[str, Any]:
        middle = sum(closes) / len(closes)
        width = 2 * math.sqrt(sum((close - middle) ** 2 for close in closes) / len(closes))
        gains = [max(0.0, b - a) for a, b in zip(closes, list(closes)[1:], strict=False)] or [0.0]
        losses = [max(0.0, a - b) for a, b in zip(closes, list(closes)[1:], strict=False)] or [0.0]
        rsi = 100 * sum(gains) / (sum(gains) + sum(losses) or 1)
        macd = sum(list(closes)[-12:]) / min(12, len(closes)) - middle
        return {
            "rsi_14": round(rsi, 4), "macd": round(macd, 4), "macd_signal": round(macd * 0.8, 4),
            "bollinger_upper": round(middle + width, 4), "bollinger_lower": round(middle - width, 4),
            "bollinger_width": round(2 * width, 4), "timestamp": now,
        }  # fmt: skip

    def _sentiment(self, symbol: str, now_ms: int) -> dict[str, Any]:
        news = self._news.setdefault(symbol, deque(maxlen=3))
        if not news or self._random.random() < 0.05:
            headline = self._random.choice(_HEADLINES).format(symbol)
            number = self._random.randrange(10**9)
            news.append({
                "headline": headline, "source": self._random.choice(("Financial Times", "Reuters", "wire")),
                "timestamp": iso(now_ms), "url": f"https://example.com/news/{number}",
            })  # fmt: skip
        score = round(random.Random(symbol + news[-1]["url"]).uniform(-1, 1), 4)
        label = "bullish" if score > 0.2 else "bearish" if score < -0.2 else "neutral"
        return {
            "sentiment_score": score, "sentiment_label": label, "news_count": 87 + len(news),
            "latest_news": list(news), "timestamp": news[-1]["timestamp"],
        }  # fmt: skip

    def _position(self, bar: Bar, now_ms: int) -> dict[str, Any]:
        price = float(bar.close)
        if bar.symbol not in self._entry or abs(price / self._entry[bar.symbol][0] - 1) > 0.01:
            self._entry[bar.symbol] = (price, self._random.choice(("long", "short")), now_ms)
        entry, side, since_ms = self._entry[bar.symbol]
        sign = 1 if side == "long" else -1
        quantity = int(10_000 // price)
        pnl = (price - entry) * sign * quantity
        self._pnl += pnl / 100
        return {
            "symbol": bar.symbol, "entry_price": entry, "current_price": price, "quantity": quantity, "side": side,
            "entry_time": iso(since_ms), "unrealized_pnl": round(pnl, 2),
            "unrealized_pnl_pct": round((price / entry - 1) * sign * 100, 4),
            "stop_loss": round(entry * (1 - 0.015 * sign), 4), "take_profit": round(entry * (1 + 0.02 * sign), 4),
            "last_update": iso(now_ms),
        }  # fmt: skip

    def _monitoring(self, bar: Bar, now_ms: int) -> dict[str, Any]:
        entry, side, since_ms = self._entry[bar.symbol]
        price, sign = float(bar.close), 1 if side == "long" else -1
        target, stop = round(entry * (1 + 0.02 * sign), 4), round(entry * (1 - 0.015 * sign), 4)
        rsi, macd = round(self._random.uniform(20, 80), 2), round(self._random.gauss(0, 0.2), 4)
        minutes = (now_ms - since_ms) // 60_000
        return {
            "technical_signals": {
                "rsi_1m": {"value": rsi, "signal": "overbought" if rsi > 70 else "neutral"},
                "macd_5m": {"value": macd, "signal": "weakening" if macd < 0 else "strengthening"},
                "support_resistance": {"next_level": round(max(self._closes[bar.symbol]), 2), "type": "resistance"},
            },
            "profit_target": {"value": target, "distance": f"{abs(target / price - 1) * 100:.1f}%"},
            "stop_loss": {"value": stop, "distance": f"{abs(stop / price - 1) * 100:.1f}%"},
            "time_in_trade": f"{minutes // 60:02}:{minutes % 60:02}:00",
            "timestamp": iso(now_ms),
        }

    def _signal(self, kind: str, bar: Bar, at_ms: int) -> dict[str, Any]:
        """A new one every quarter of an hour or so; until then the old one stands there."""
        key = kind + bar.symbol
        if key not in self._signals or self._random.random() < 0.07:
            self._signals[key] = {
                "reason": self._random.choice(_REASONS), "price": float(bar.open), "timestamp": iso(at_ms),
                "indicators": {
                    "macd": round(self._random.gauss(0, 0.3), 4), "rsi": round(self._random.uniform(20, 80), 2),
                },
                "confidence": round(self._random.uniform(0.5, 1), 2),
            }  # fmt: skip
        return self._signals[key]

    def _advancing(self) -> dict[str, int]:
        counts = map(round, self._breadth)
        return dict(zip(("advancing", "declining", "unchanged"), counts, strict=True))

    def _shared(self, now_ms: int) -> dict[str, Any]:
        now = iso(now_ms)
        for name in self._price:
            self._price[name] *= 1 + self._random.gauss(0, 0.0008)
            self._score[name] = min(1.0, max(0.0, self._score[name] + self._random.gauss(0, 0.01)))
        for name in self._market:
            self._market[name] += self._random.gauss(0, 0.02)
        self._breadth = [count + self._random.gauss(0, 12) for count in self._breadth]
        ranked = sorted(self._score, key=lambda name: -self._score[name])
        return {
            "watchlist:current": [*self._closes, *sorted(self._score)[:10]],
            "candidates:ranked": [
                {
                    "symbol": name, "score": round(self._score[name], 4), "price": round(self._price[name], 2),
                    "signals": ["breakout", "volume_surge"] if self._score[name] > 0.5 else ["support_bounce"],
                    "timestamp": now,
                }
                for name in ranked
            ],
            "system:state": {
                "state": "running", "market_status": "open", "active_positions_count": len(self._entry),
                "watchlist_count": 15, "last_scan_time": now, "timestamp": now, "clock": "bars",
            },
            "metrics:performance": {
                "daily_pnl": round(self._pnl, 2), "daily_pnl_pct": round(self._pnl / 50_000, 4), "win_count": 31,
                "loss_count": 17, "win_rate": 0.6458, "avg_win": 51.37, "avg_loss": -27.75, "largest_win": 175.2,
                "largest_loss": -81.5, "timestamp": now,
            },
            "context:market": {
                "sector_performance": {name: round(value, 4) for name, value in self._market.items()},
                "market_breadth": self._advancing(),
                "vix": round(18 + self._market["energy"], 2), "market_regime": "bullish_consolidation",
                "timestamp": now,
            },
        }  # fmt: skip
