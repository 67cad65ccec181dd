"""A package with something in every section, and what grounding says of a text about it."""

from decimal import Decimal
from typing import Any

from llmctx.context.package import Package
from llmctx.decision.grounding import ground
from tests.unit.makers import NOW, decision, package_of

_DOCUMENTS: dict[str, Any] = {
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
        "sector_performance": {"technology": Decimal("0.62"), "energy": Decimal("-0.44")},
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


def package() -> Package:
    return package_of(_DOCUMENTS)


def package_at(last: Decimal) -> Package:
    """The same with another price."""
    price = _DOCUMENTS["price"]
    return package_of(_DOCUMENTS | {"price": price | {"price": price["price"] | {"last": last}}})


def package_with_more() -> Package:
    """The same with a VWAP, its own place in the ranking, and a last decision at 645.95 twelve minutes ago."""
    price = _DOCUMENTS["price"]
    own = {"symbol": "AAPL", "score": Decimal("0.74"), "price": Decimal("648.41"), "signals": [], "timestamp": NOW}
    thesis = {
        "address": "7", "kind": "decision", "tick": "run-1", "symbol": "AAPL", "as_of": "2025-05-09T10:03:30.123Z",
        "entry_time": "2025-05-09T09:45:32.000Z", "action": "hold", "quantity": None, "stop_loss": None,
        "take_profit": None, "reason": "as decided", "decided": "hold", "confidence": Decimal("0.7"),
        "reasoning": "At 645.95 the plan stands.", "invalidation": "A close below the stop.", "valid_for": 15,
    }  # fmt: skip
    return package_of(
        _DOCUMENTS
        | {"price": price | {"price": price["price"] | {"vwap": Decimal("647.1")}}, "thesis": thesis}
        | {"candidates": [*_DOCUMENTS["candidates"], own]}
    )


def unsupported(reasoning: str, of: Package | None = None) -> list[str]:
    """The numbers of a reasoning that nothing supports."""
    return [item.text for item in ground(of or package(), decision(reasoning=reasoning)).unsupported]
