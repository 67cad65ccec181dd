"""A package with something in every section, and what grounding finds in a text about it."""

from decimal import Decimal
from typing import Any

from llmctx.context.package import Package
from llmctx.decision.grounding import Grounding, ground
from tests.unit.makers import NOW, decision, package_of

DOCUMENTS: dict[str, Any] = {
    "price": {
        "price": {
            "last": Decimal("648.41"), "open": Decimal("646.25"), "high": Decimal("649.37"), "low": Decimal("645.75"),
            "volume": 1204332,
        },
        "timestamp": NOW,
    },
    "indicators": {
        "rsi_14": Decimal("61.27"), "macd": Decimal("0.4821"), "macd_signal": Decimal("0.3915"),
        "bollinger_upper": Decimal("650.12"), "bollinger_lower": Decimal("644.88"), "bollinger_width": Decimal("5.24"),
        "atr_14": Decimal("1.85"), "timestamp": NOW,
    },
    "sentiment": {
        "sentiment_score": Decimal("0.42"), "sentiment_label": "bullish", "news_count": 4,
        "latest_news": [
            {"headline": "Buyback raised to $90 billion", "source": "wire", "timestamp": NOW, "url": "https://e.com"}
        ],
        "timestamp": NOW,
    },
    "position": {
        "symbol": "AAPL", "entry_price": Decimal("645.1"), "current_price": Decimal("648.41"), "quantity": 15,
        "side": "long", "entry_time": "2025-05-09T09:45:32.000Z", "unrealized_pnl": Decimal("49.65"),
        "unrealized_pnl_pct": Decimal("0.513"), "stop_loss": Decimal("638.65"), "take_profit": Decimal(658),
        "last_update": NOW,
    },
    "monitoring": {
        "technical_signals": {
            "rsi_1m": {"value": Decimal("63.4"), "signal": "neutral"},
            "macd_5m": {"value": Decimal("0.15"), "signal": "weakening"},
            "support_resistance": {"next_level": Decimal("649.37"), "type": "resistance"},
        },
        "profit_target": {"value": 658, "distance": "1.5%"}, "stop_loss": {"value": Decimal("638.65"), "distance": "1.5%"},
        "time_in_trade": "00:29:58", "timestamp": NOW,
    },
    "signals.entry": {
        "reason": "breakout", "price": Decimal("645.05"), "timestamp": NOW, "confidence": Decimal("0.72"),
        "indicators": {"macd": Decimal("0.31"), "rsi": Decimal("58.2")},
    },
    "performance": {
        "daily_pnl": Decimal("312.4"), "daily_pnl_pct": Decimal("0.31"), "win_count": 5, "loss_count": 2,
        "win_rate": Decimal("0.7143"), "avg_win": Decimal("88.2"), "avg_loss": Decimal("-64.3"),
        "largest_win": Decimal("140.5"), "largest_loss": -81, "timestamp": NOW,
    },
    "market": {
        "sector_performance": {"technology": Decimal("0.62"), "energy": Decimal("-0.44"), "Real Estate": Decimal("1.07")},
        "market_breadth": {"advancing": 1820, "declining": 1150, "unchanged": 130}, "vix": Decimal("14.8"),
        "market_regime": "bullish_trend", "timestamp": NOW,
    },
    "candidates": [
        {"symbol": "MSFT", "score": Decimal("0.91"), "price": Decimal("412.3"), "signals": ["breakout"], "timestamp": NOW}
    ],
    "system": {
        "state": "running", "market_status": "open", "active_positions_count": 3, "watchlist_count": 15,
        "last_scan_time": NOW, "timestamp": NOW, "clock": "bars",
    },
}  # fmt: skip


def package(**changes: Any) -> Package:
    """The package, with other documents for some sections."""
    return package_of(DOCUMENTS | changes)


def found(text: str, *, field: str = "reasoning", **answer: Any) -> Grounding:
    """What is found in a text that is a field of an answer."""
    neutral = {"reasoning": "So.", "invalidation": "A new fact.", "evidence": [item("position.side", "long")]}
    return ground(package(), decision(**(neutral | {field: text} | answer)))


def item(path: str, value: str, reading: str = "") -> dict[str, str]:
    """An item of evidence."""
    return {"path": path, "value": value, "reading": reading}
