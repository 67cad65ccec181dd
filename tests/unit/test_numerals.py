from decimal import Decimal

import pytest

from llmctx.numerals import numerals, plain


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("RSI 61.3, 5", [("61.3", ""), ("5", "")]),
        ("648,41", [("648.41", "")]),
        ("1,204,332 1.204.332,5 12,04,332", [("1204332", ""), ("1204332.5", ""), ("1204332", "")]),
        ("1\u00a0204\u00a0332 1 204 332 15 648,41 1'204'332", [("1204332", "")] * 2 + [("15648.41", ""), ("1204332", "")]),
        ("-0.5 \u22120.5 +0.5 -$49.65 $-49.65", [("0.5", "-"), ("0.5", "-"), ("0.5", "+"), ("49.65", "-"), ("49.65", "-")]),
        ("(\u22120.51%) \u640d\u76ca\u2212374.0", [("0.51", "-"), ("374.0", "-")]),
        ("644.88\u2013650.12 2-3 a-5 10 - 5", [("644.88", ""), ("650.12", ""), ("2", ""), ("3", ""), ("5", ""), ("10", ""), ("5", "")]),
        ("1.2M 1204k 3.5bn 2 million", [("1.2E+6", ""), ("1.204E+6", ""), ("3.5E+9", ""), ("2E+6", "")]),
        ("1.2\u4e07 3.5\u4ebf 12\u4e073456 4\u5343", [("1.2E+4", ""), ("3.5E+8", ""), ("123456", ""), ("4E+3", "")]),
        ("\uff11\uff12\uff0e\uff15\uff05 \u0664\u066b\u0669\u066a \u0967\u0968", [("12.5", ""), ("4.9", ""), ("12", "")]),
        ("\u73b0\u4ef77.6%\u9ad8", [("7.6", "")]),
        ("\u4e00\u767e\u4e8c\u5341 \u516d\u5341\u4e00\u70b9\u4e09 \u4e8c\u3007\u4e8c\u516d \u4e09\u4e07\u4e94\u5343", [("120", ""), ("61.3", ""), ("2026", ""), ("35000", "")]),
        ("4.8e-1 1e3 .5", [("0.48", ""), ("1E+3", ""), (".5", "")]),
        ("RSI14 rsi_14 EMA20 \u4e00\u65e6", []),
        ("9" * 500 + " 1.2.3 \u00bd", [None, None, None]),
    ],
)  # fmt: skip
def test_numbers_are_read_as_they_are_written(text: str, read: list[tuple[str, str] | None]) -> None:
    found = [(str(n.values[0].value), n.sign) if n.values else None for n in numerals(plain(text))]
    assert found == [one and (str(Decimal(one[0])), one[1]) for one in read]


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("4.9%", "%"), ("4,9 %", "%"), ("4.9 percent", "%"), ("4,9 Prozent", "%"), ("150 bps", "bps"), ("150bp", "bps"),
        ("150\u4e2a\u57fa\u70b9", "bps"), ("4.9\u30d1\u30fc\u30bb\u30f3\u30c8", "%"), ("4.9", ""), ("4.9x", ""),
    ],
)  # fmt: skip
def test_a_number_has_the_unit_behind_it(text: str, unit: str) -> None:
    (number,) = numerals(plain(text))
    assert (number.unit, number.end) == (unit, len(text) if unit else 3)


@pytest.mark.parametrize(
    ("text", "values"), [("1,204", ["1204", "1.204"]), ("1.204", ["1.204", "1204"]), ("0.204", ["0.204"])]
)
def test_what_can_be_meant_in_two_ways_is_read_in_both(text: str, values: list[str]) -> None:
    (number,) = numerals(text)
    assert [str(value.value) for value in number.values] == values


@pytest.mark.parametrize(
    "text", ["2025-05-09", "2025-05-09T10:15:30", "09.05.2025", "14:30", "00:27:15", "\uff1a02:24:00"]
)
def test_a_moment_is_one(text: str) -> None:
    (number,) = numerals(plain(text))
    assert (number.moment, number.values, number.text) == (True, (), plain(text).lstrip(":"))


@pytest.mark.parametrize(("text", "name"), [("RSI(14)", True), ("14-day", True), ("(14)", False), ("14 days", False)])
def test_a_period_belongs_to_its_indicators_name(text: str, name: bool) -> None:
    (number,) = numerals(text)
    assert number.name is name
