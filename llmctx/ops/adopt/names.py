"""The names under which other systems write the fields of the schema, without case and punctuation.

A name may be that of a value, or of its object and the value: entry.price is an entryprice.
"""

from typing import NamedTuple


class Names(NamedTuple):
    """The marks by which a section is recognised."""

    hints: str
    """Words in a key that point to the section."""
    fields: dict[str, str]
    """The schema's fields, each with its other names, the most telling first."""
    needed: str
    """The fields without which the section is not proposed."""


_WRITTEN = "lastupdate updatedat updated updatetime timestamp ts eventtime t time datetime at date asof"
NAMES = {
    "position": Names(
        "position pos holding trade",
        {
            "entry_price": (
                "entryprice avgentryprice averageprice avgprice avgpx entrypx avg entry openprice openrate averagecost"
            ),
            "current_price": "currentprice markprice mark markpx lastprice lastpx curpx ltp last price currentrate",
            "quantity": "quantity qty size amount contracts shares lots units positionamt netqty netquantity sz",
            "side": "side direction dir positionside posside type isshort",
            "entry_time": "entrytime openedat opentime opentimestamp opened opendate createdat created ctime entryts",
            "unrealized_pnl": (
                "unrealizedpnl unrealisedpnl pnlunrealized pnlunrealised upnl upl unrealizedprofit unrealizedpl "
                "profitabs pnl profit"
            ),
            "unrealized_pnl_pct": (
                "unrealizedpnlpct pnlpct uplpct profitpct percentage unrealizedplpc*100 profitratio*100"
            ),
            "stop_loss": "stoplossprice stoploss stoplossabs stopprice sl stop",
            "take_profit": "takeprofit tp target targetprice",
            "last_update": f"lastupdate {_WRITTEN}",
            "leverage": "leverage lever",
            "margin": "isolatedmargin initialmargin marginused usedmargin margin",
            "funding_rate": "fundingrate",
            "liquidation_price": "liquidationprice liqprice liqpx",
        },
        "entry_price quantity",
    ),
    "price": Names(
        "price tick quote last",
        {
            "price.last": "last lastprice ltp lastpx close c price px p markprice",
            "price.open": "open o openprice",
            "price.high": "high h highprice",
            "price.low": "low l lowprice",
            "price.volume": "volume vol v basevolume quotevolume",
            "timestamp": f"{_WRITTEN} e",
        },
        "price.last",
    ),
    "indicators": Names(
        "indicator ta technical study",
        {
            "rsi_14": "rsi14 rsi",
            "macd": "macd macdline",
            "macd_signal": "macdsignal macdsig signalline",
            "bollinger_upper": "bollingerupper bbupper bbupperband bbu upperband",
            "bollinger_lower": "bollingerlower bblower bblowerband bbl lowerband",
            "bollinger_width": "bollingerwidth bbwidth bbw",
            "timestamp": _WRITTEN,
        },
        "rsi_14",
    ),
    "sentiment": Names(
        "sentiment news mood",
        {
            "sentiment_score": "sentimentscore sentiment score mood compound",
            "sentiment_label": "sentimentlabel label",
            "news_count": "newscount count articles",
            "timestamp": _WRITTEN,
        },
        "sentiment_score news_count",
    ),
    "system": Names(
        "system state status bot clock",
        {
            "state": "state status mode",
            "market_status": "marketstatus market session marketstate isopen",
            "active_positions_count": "activepositionscount openpositions positions opentrades",
            "watchlist_count": "watchlistcount watchlist pairs",
            "last_scan_time": "lastscantime lastscan",
            "timestamp": f"heartbeat {_WRITTEN}",
        },
        "market_status",
    ),
    "performance": Names(
        "performance perf pnl metrics stats",
        {
            "daily_pnl": "dailypnl pnltoday daypnl profittoday",
            "daily_pnl_pct": "dailypnlpct daypnlpct",
            "win_count": "wincount wins winningtrades",
            "loss_count": "losscount losses losingtrades",
            "win_rate": "winrate",
            "timestamp": _WRITTEN,
        },
        "win_count loss_count",
    ),
}
"""Each section that is looked for. The others are proposed only if they already have the schema's form."""
