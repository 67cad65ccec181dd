"""Files of bars as their publishers write them: each gives the bars that it says, in the order of time."""

import gzip
import logging
import zipfile
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from llmctx.errors import FeedError
from llmctx.flow.bar_file import BarFile, BarFileOptions
from llmctx.flow.bars import BadRow, Bar

FIRST = datetime(2024, 1, 2, 14, 30, tzinfo=UTC)
AT = [FIRST, FIRST + timedelta(minutes=1)]
DAYS = [datetime(2024, 1, day, tzinfo=UTC) for day in (2, 3)]
NEW_YORK_DAYS = [day.replace(hour=5) for day in DAYS]
OHLCV = [("185.1", "185.9", "184.8", "185.5", "1200"), ("185.5", "186", "185.2", "185.75", "900")]


def bars(symbol: str, starts: list[datetime]) -> list[Bar]:
    return [Bar(start, symbol, *map(Decimal, row)) for start, row in zip(starts, OHLCV, strict=True)]


# What each publisher's file looks like: its name, its text, the symbol and the starts of its two bars.
PUBLISHED = {
    "yahoo": ("AAPL.csv", (
        "Date,Open,High,Low,Close,Adj Close,Volume\n"
        "2024-01-02,185.1,185.9,184.8,185.5,184.9,1200\n2024-01-03,185.5,186,185.2,185.75,185.1,900\n"
    ), ("AAPL", DAYS)),
    "yfinance history": ("AAPL.csv", (
        "Date,Open,High,Low,Close,Volume,Dividends,Stock Splits\n"
        "2024-01-02 00:00:00-05:00,185.1,185.9,184.8,185.5,1200,0.0,0.0\n"
        "2024-01-03 00:00:00-05:00,185.5,186,185.2,185.75,900,0.0,0.0\n"
    ), ("AAPL", NEW_YORK_DAYS)),
    "yfinance download": ("out.csv", (
        "Price,Close,High,Low,Open,Volume\nTicker,AAPL,AAPL,AAPL,AAPL,AAPL\nDate,,,,,\n"
        "2024-01-02,185.5,185.9,184.8,185.1,1200\n2024-01-03,185.75,186,185.2,185.5,900\n"
    ), ("AAPL", DAYS)),
    "yfinance download, older": ("out.csv", (
        ",Close,High,Low,Open,Volume\nTicker,AAPL,AAPL,AAPL,AAPL,AAPL\nDate,,,,,\n"
        "2024-01-02,185.5,185.9,184.8,185.1,1200\n2024-01-03,185.75,186,185.2,185.5,900\n"
    ), ("AAPL", DAYS)),
    "stooq bulk days": ("aapl.us.txt", (
        "<TICKER>,<PER>,<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>,<OPENINT>\n"
        "AAPL.US,D,20240102,000000,185.1,185.9,184.8,185.5,1200,0\n"
        "AAPL.US,D,20240103,000000,185.5,186,185.2,185.75,900,0\n"
    ), ("AAPL.US", DAYS)),
    "kraken": ("XBTUSD_1.csv", "1704205800,185.1,185.9,184.8,185.5,1200,13\n1704205860,185.5,186,185.2,185.75,900,13\n", ("XBTUSD", AT)),
    "semicolons": ("x.csv", (
        "timestamp;symbol;open;high;low;close;volume\n"
        "2024-01-02T14:30:00Z;AAPL;185.1;185.9;184.8;185.5;1200\n"
        "2024-01-02T14:31:00Z;AAPL;185.5;186;185.2;185.75;900\n"
    ), ("AAPL", AT)),
    "binance": ("BTCUSDT-1m-2024-01.csv", (
        "1704205800000,185.1,185.9,184.8,185.5,1200,1704205859999,1,2,3,4,0\n"
        "1704205860000000,185.5,186,185.2,185.75,900,1704205919999,1,2,3,4,0\n"
    ), ("BTCUSDT", AT)),
    "stooq day": ("aapl_us_d.csv", (
        "Date,Open,High,Low,Close,Volume\n"
        "2024-01-02,185.1,185.9,184.8,185.5,1200\n2024-01-03,185.5,186,185.2,185.75,900\n"
    ), ("aapl", DAYS)),
    "polygon": ("2024-01-02.csv.gz", (
        "ticker,volume,open,close,high,low,window_start,transactions\n"
        "AAPL,1200,185.1,185.5,185.9,184.8,1704205800000000000,9\n"
        "AAPL,900,185.5,185.75,186,185.2,1704205860000000000,7\n"
    ), ("AAPL", AT)),
    "alpaca": ("bars.csv", (
        "symbol,timestamp,open,high,low,close,volume,trade_count,vwap\n"
        "AAPL,2024-01-02 14:30:00+00:00,185.1,185.9,184.8,185.5,1200,3,185.2\n"
        "AAPL,2024-01-02 14:31:00+00:00,185.5,186,185.2,185.75,900,4,185.6\n"
    ), ("AAPL", AT)),
    "cryptodatadownload, the newest first": ("Gemini_BTCUSD_minute.csv", (
        "https://www.CryptoDataDownload.com\nunix,date,symbol,open,high,low,close,Volume BTC,Volume USD\n"
        "1704205860,2024-01-02 14:31:00,BTC/USD,185.5,186,185.2,185.75,900,1\n"
        "1704205800,2024-01-02 14:30:00,BTC/USD,185.1,185.9,184.8,185.5,1200,1\n"
    ), ("BTC/USD", AT)),
    "databento, prices in billionths": ("xnas.csv", (
        "ts_event,rtype,publisher_id,instrument_id,open,high,low,close,volume,symbol\n"
        "1704205800000000000,33,2,32,185100000000,185900000000,184800000000,185500000000,1200,AAPL\n"
        "2024-01-02T14:31:00.000000000Z,33,2,32,185.5,186.0,185.2,185.75,900,AAPL\n"
    ), ("AAPL", AT)),
    "binance futures, with a header": ("BTCUSDT-1m-2024-01.csv", (
        "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,"
        "taker_buy_quote_volume,ignore\n"
        "1704205800000,185.1,185.9,184.8,185.5,1200,1704205859999,1,2,3,4,0\n"
        "1704205860000,185.5,186,185.2,185.75,900,1704205919999,1,2,3,4,0\n"
    ), ("BTCUSDT", AT)),
    "yfinance download, grouped by ticker": ("out.csv", (
        "Ticker,AAPL,AAPL,AAPL,AAPL,AAPL\nPrice,Open,High,Low,Close,Volume\nDate,,,,,\n"
        "2024-01-02,185.1,185.9,184.8,185.5,1200\n2024-01-03,185.5,186,185.2,185.75,900\n"
    ), ("AAPL", DAYS)),
    "coinbase, without a header": ("BTC-USD.csv", "1704205860,185.2,186,185.5,185.75,900\n1704205800,184.8,185.9,185.1,185.5,1200\n", ("BTC-USD", AT)),
    "nasdaq": ("AAPL_HistoricalData.csv", (
        "Date,Close/Last,Volume,Open,High,Low\n"
        "01/03/2024,$185.75,900,$185.50,$186.00,$185.20\n01/02/2024,$185.50,1200,$185.10,$185.90,$184.80\n"
    ), ("AAPL", DAYS)),
    "nasdaq data link": ("WIKI-AAPL.csv", (
        "Date,Open,High,Low,Close,Volume,Ex-Dividend,Split Ratio,Adj. Open,Adj. Close\n"
        "2024-01-03,185.5,186,185.2,185.75,900,0.0,1.0,18,18\n"
        "2024-01-02,185.1,185.9,184.8,185.5,1200,0.0,1.0,18,18\n"
    ), ("AAPL", DAYS)),
    "interactive brokers, with an index": ("AAPL.csv", (
        ",date,open,high,low,close,volume,average,barCount\n"
        "0,2024-01-02 09:30:00-05:00,185.1,185.9,184.8,185.5,1200.0,185.3,12\n"
        "1,20240102 09:31:00 US/Eastern,185.5,186,185.2,185.75,900.0,185.6,7\n"
    ), ("AAPL", AT)),
    "tradingview": ("NASDAQ_AAPL, 1.csv", (
        "time,open,high,low,close,Volume,Volume MA\n"
        "1704205800,185.1,185.9,184.8,185.5,1200,1\n1704205860,185.5,186,185.2,185.75,900,1\n"
    ), ("AAPL", AT)),
    "metatrader 5": ("EURUSD_Daily.csv", (
        "<DATE>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>\r\n"
        "2024.01.02\t185.1\t185.9\t184.8\t185.5\t1200\t0\t8\r\n"
        "2024.01.03\t185.5\t186\t185.2\t185.75\t900\t0\t8\r\n"
    ), ("EURUSD", DAYS)),
    "stooq, in Polish": ("aapl_us_d.csv", (
        "Data,Otwarcie,Najwyzszy,Najnizszy,Zamkniecie,Wolumen\n"
        "2024-01-02,185.1,185.9,184.8,185.5,1200\n2024-01-03,185.5,186,185.2,185.75,900\n"
    ), ("aapl", DAYS)),
    "an index of times without a name": ("AAPL.csv", (
        ",open,high,low,close,volume\n"
        "2024-01-02 14:30:00+00:00,185.1,185.9,184.8,185.5,1200\n"
        "2024-01-02 14:31:00+00:00,185.5,186,185.2,185.75,900\n"
    ), ("AAPL", AT)),
    "decimal commas": ("SAP.csv", (
        "Date;Open;High;Low;Close;Volume\n"
        "02.01.2024;185,1;185,9;184,8;185,5;1.200\n03.01.2024;185,50;186,00;185,20;185,75;900\n"
    ), ("SAP", DAYS)),
    "thousands, blank cells and blank lines": ("SAP.csv", (
        "Date,Open,High,Low,Close,Volume\n"
        '2024-01-02,185.1,185.9,184.8,185.5,"1,200",\n2024-01-03,185.5,$186.00,185.2,185.75,900,\n,,,,,\n  \n\n'
    ), ("SAP", DAYS)),
    "names of its own": ("mine.csv", (
        "Close,Vol,Ticker,Time,Low,High,Open,Note\n"
        "185.5,1200,AAPL,2024-01-02T14:30:00Z,184.8,185.9,185.1,a\n"
        "185.75,900,AAPL,2024-01-02T14:31:00Z,185.2,186,185.5,b\n"
    ), ("AAPL", AT)),
}  # fmt: skip


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_file_gives_its_bars_in_the_order_of_time(name: str, tmp_path: Path) -> None:
    file, text, expected = PUBLISHED[name]
    assert list(BarFile(write(tmp_path, file, text))) == bars(*expected)


def test_a_bulk_file_of_stooq_needs_the_zone_of_its_times(tmp_path: Path) -> None:
    text = (
        "<TICKER>,<PER>,<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>,<OPENINT>\n"
        "AAPL.US,1,20240102,153000,185.1,185.9,184.8,185.5,1200,0\n"
        "AAPL.US,1,20240102,153100,185.5,186,185.2,185.75,900,0\n"
    )
    path = write(tmp_path, "aapl.us.txt", text)
    assert list(BarFile(path, BarFileOptions(zone=ZoneInfo("Europe/Warsaw")))) == bars("AAPL.US", AT)
    unread = list(BarFile(path))
    assert all(isinstance(row, BadRow) and "zone with --zone" in row.why for row in unread)


def test_a_wide_file_gives_the_bars_of_each_ticker_and_passes_over_its_gaps(tmp_path: Path) -> None:
    text = (
        "Price,Close,Close,High,High,Low,Low,Open,Open,Volume,Volume\n"
        "Ticker,AAPL,SAP.DE,AAPL,SAP.DE,AAPL,SAP.DE,AAPL,SAP.DE,AAPL,SAP.DE\n"
        "Date,,,,,,,,,,\n"
        "2024-01-02,185.5,185.5,185.9,185.9,184.8,184.8,185.1,185.1,1200,1200\n"
        "2024-01-03,185.75,,186,,185.2,,185.5,,900,\n"
    )
    found = list(BarFile(write(tmp_path, "wide.csv", text)))
    apple, sap = bars("AAPL", DAYS), bars("SAP.DE", DAYS)
    assert found == [apple[0], sap[0], apple[1]]


IN_NEW_YORK = {
    "metatrader 4": ("EURUSD.csv", "2024.01.02,09:30,185.1,185.9,184.8,185.5,1200\n2024.01.02,09:31,185.5,186,185.2,185.75,900\n", "EURUSD"),
    "histdata": ("DAT_ASCII_EURUSD_M1_2024.csv", "20240102 093000;185.1;185.9;184.8;185.5;1200\n20240102 093100;185.5;186;185.2;185.75;900\n", "EURUSD"),
    "interactive brokers": ("AAPL.csv", (
        "Date,Open,High,Low,Close,Volume\n"
        "20240102  09:30:00,185.1,185.9,184.8,185.5,1200\n20240102  09:31:00,185.5,186,185.2,185.75,900\n"
    ), "AAPL"),
    "barchart, with a footer": ("AAPL_intraday.csv", (
        "Time,Open,High,Low,Latest,Change,Volume\n"
        "2024-01-02 09:30,185.1,185.9,184.8,185.5,1,1200\n2024-01-02 09:31,185.5,186,185.2,185.75,1,900\n"
        '"Downloaded from Barchart.com as of 01-02-2024 04:12pm CST"\n'
    ), "AAPL"),
}  # fmt: skip


@pytest.mark.parametrize("name", IN_NEW_YORK)
def test_times_without_a_zone_are_read_only_in_the_zone_that_is_given(name: str, tmp_path: Path) -> None:
    file, text, symbol = IN_NEW_YORK[name]
    path = write(tmp_path, file, text)
    found = BarFile(path, BarFileOptions(zone=ZoneInfo("America/New_York")))
    assert [item for item in found if isinstance(item, Bar)] == bars(symbol, AT)
    unread = [item for item in BarFile(path) if isinstance(item, BadRow)]
    assert ["no zone" in row.why for row in unread[:2]] == [True, True]


LAYOUT_NAMES = {"yahoo": "yahoo", "polygon": "polygon", "nasdaq": "nasdaq", "tradingview": "columns by name"}


@pytest.mark.parametrize("name", LAYOUT_NAMES)
def test_the_layout_that_was_recognised_is_named(name: str, tmp_path: Path) -> None:
    file, text, _ = PUBLISHED[name]
    assert BarFile(write(tmp_path, file, text)).layout == LAYOUT_NAMES[name]


REFUSED = {
    "two layouts without a header": ("A.csv", "1704205800,185,185,185,185,9\n", "may be coinbase or ohlcv"),
    "several instruments": ("xnas.csv", "ts_event,rtype,publisher_id,instrument_id,open,high,low,close,volume\n", "there is none for symbol"),
    "a name that tells nothing": ("data.csv", "date,open,high,low,close,volume\n", "its own name tells none"),
    "json": ("A.json", '[{"t": 1}]\n', "is JSON, not CSV"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_file_does_not_say_is_asked_for(name: str, tmp_path: Path) -> None:
    file, text, why = REFUSED[name]
    with pytest.raises(FeedError, match=why):
        BarFile(write(tmp_path, file, text))


def test_a_date_that_may_be_of_two_days_is_refused(tmp_path: Path) -> None:
    text = "date,open,high,low,close,volume\n03/02/2024,1,1,1,1,1\n"
    [row] = BarFile(write(tmp_path, "AAPL.csv", text))
    assert isinstance(row, BadRow)
    assert "whether the day or the month is first" in row.why


def test_utf_16_is_read(tmp_path: Path) -> None:
    path = tmp_path / "AAPL.csv"
    path.write_bytes(PUBLISHED["yahoo"][1].encode("utf-16"))
    assert list(BarFile(path)) == bars("AAPL", DAYS)


def test_a_zip_archive_of_one_file_gives_its_bars_and_one_of_several_is_refused(tmp_path: Path) -> None:
    name, text, (symbol, starts) = PUBLISHED["binance"]
    path = tmp_path / f"{name}.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, text)
    assert list(BarFile(path)) == bars(symbol, starts)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("more.csv", text)
    with pytest.raises(FeedError, match="holds 2 files; unpack it and name one"):
        BarFile(path)


def test_a_time_that_is_absent_or_none_is_said_in_plain_words(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("timestamp,symbol,open,high,low,close,volume\n,A,1,1,1,1,1\nJan 2,A,1,1,1,1,1\n", encoding="utf-8")
    why = [item.why for item in BarFile(path) if isinstance(item, BadRow)]
    form = "write ISO 8601 such as 2026-03-02T14:30:00Z, or an epoch"
    assert why == [f"timestamp '': is absent: {form}", f"timestamp 'Jan 2': is not a time: {form}"]


def test_a_parquet_file_gives_its_bars(tmp_path: Path) -> None:
    rows = [(start, "AAPL", *map(float, row)) for start, row in zip(AT, OHLCV, strict=True)]
    names = ("timestamp", "symbol", "open", "high", "low", "close", "volume")
    import polars as pl  # noqa: PLC0415  slow to import, and every worker imports every module of tests

    pl.DataFrame(rows, schema=names, orient="row").write_parquet(tmp_path / "bars.parquet")
    assert list(BarFile(tmp_path / "bars.parquet")) == bars("AAPL", AT)


def test_a_symbol_taken_from_the_files_name_is_said_and_one_that_is_given_wins(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(tmp_path, *PUBLISHED["yahoo"][:2])
    with caplog.at_level(logging.WARNING):
        BarFile(path)
    assert "AAPL is taken from its name" in caplog.text
    assert list(BarFile(path, BarFileOptions(symbol="AAPL.MX"))) == bars("AAPL.MX", DAYS)


def test_a_layout_can_be_forced_and_an_unknown_one_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, *PUBLISHED["alpaca"][:2])
    assert list(BarFile(path, BarFileOptions("alpaca"))) == bars("AAPL", AT)
    with pytest.raises(FeedError, match="there is none for timestamp"):
        BarFile(path, BarFileOptions("polygon"))
    with pytest.raises(FeedError, match="no layout 'ft'"):
        BarFile(path, BarFileOptions("ft"))


def test_an_absent_column_is_named(tmp_path: Path) -> None:
    with pytest.raises(FeedError, match="there is none for low, volume"):
        BarFile(write(tmp_path, "x.csv", "Date,Open,High,Close\n2024-01-02,1,2,1\n"))


def test_high_and_low_that_miss_by_a_rounding_are_widened_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    text = "timestamp,symbol,open,high,low,close,volume\n2024-01-02T14:30:00Z,A,72.14,72.1399993896484,71.5,71.96,1\n"
    with caplog.at_level(logging.WARNING):
        (bar,) = BarFile(write(tmp_path, "a.csv", text))
    assert isinstance(bar, Bar)
    assert bar.high == Decimal("72.14")
    assert "in 1 bars high or low missed" in caplog.text


def lasting(step: timedelta, count: int, symbol: str = "A", first: datetime = FIRST) -> str:
    rows = (f"{(first + step * n).isoformat()},{symbol},1,1,1,1,1\n" for n in range(count))
    return "".join(rows)


HEAD = "timestamp,symbol,open,high,low,close,volume\n"


@pytest.mark.parametrize(
    ("step", "length"),
    [
        (timedelta(minutes=1), timedelta(minutes=1)),
        (timedelta(minutes=5), timedelta(minutes=5)),
        (timedelta(hours=1), timedelta(hours=1)),
        (timedelta(days=1), timedelta(days=1)),
        (timedelta(days=7), timedelta(days=7)),
        (timedelta(days=28), timedelta(days=31)),
        (timedelta(minutes=7), timedelta(minutes=1)),
    ],
)
def test_the_interval_is_seen_from_the_starts(step: timedelta, length: timedelta, tmp_path: Path) -> None:
    assert BarFile(write(tmp_path, "a.csv", HEAD + lasting(step, 3))).interval() == length


def test_days_that_begin_at_local_midnight_are_days_when_the_clocks_change(tmp_path: Path) -> None:
    starts = [datetime(2024, 3, day, tzinfo=ZoneInfo("America/New_York")) for day in (9, 10, 11)]
    text = HEAD + "".join(f"{start.isoformat()},A,1,1,1,1,1\n" for start in starts)
    assert BarFile(write(tmp_path, "a.csv", text)).interval() == timedelta(days=1)


def test_one_bar_at_midnight_is_taken_for_a_days(tmp_path: Path) -> None:
    assert BarFile(write(tmp_path, "a.csv", HEAD + "2024-01-02,A,1,1,1,1,1\n")).interval() == timedelta(days=1)


@pytest.mark.parametrize(
    ("text", "given"),
    [
        (lasting(timedelta(days=1), 3), timedelta(minutes=1)),
        (lasting(timedelta(minutes=5), 12), timedelta(minutes=1)),
        (lasting(timedelta(minutes=1), 3), timedelta(minutes=5)),
    ],
)
def test_an_interval_that_the_file_contradicts_is_refused(text: str, given: timedelta, tmp_path: Path) -> None:
    with pytest.raises(FeedError, match="the bars of A begin"):
        BarFile(write(tmp_path, "a.csv", HEAD + text)).interval(given)


def test_symbols_with_other_bars_are_refused(tmp_path: Path) -> None:
    text = lasting(timedelta(minutes=1), 3) + lasting(timedelta(days=1), 3, "B", FIRST + timedelta(minutes=3))
    with pytest.raises(FeedError, match="the bars of B begin 1 d apart"):
        BarFile(write(tmp_path, "a.csv", HEAD + text)).interval()


def test_a_thinly_traded_symbol_has_the_interval_of_the_file(tmp_path: Path) -> None:
    text = lasting(timedelta(minutes=1), 8) + "2024-01-02T14:38:00Z,B,1,1,1,1,1\n2024-01-02T14:43:00Z,B,1,1,1,1,1\n"
    assert BarFile(write(tmp_path, "a.csv", HEAD + text)).interval() == timedelta(minutes=1)
