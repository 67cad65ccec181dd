"""The console's pages over HTTP: what each one shows, and that no stranger's text takes effect in any of them."""

import re
from html.parser import HTMLParser

import pytest

from tests.integration.console.conftest import EVIL, HONEST, HOSTILE, WRONG, Browser
from tests.integration.program import Program

PAGES = (
    "/", "/find", f"/decisions/{HONEST}", f"/decisions/{WRONG}", f"/decisions/{EVIL}", "/symbols/AAPL", "/symbols/MSFT",
    "/compare", "/quality", "/health", "/api", "/sign-in", "/find?text=%3Cscript%3E", "/find?symbol=%3Cscript%3E",
    "/decisions/%3Cscript%3E", "/symbols/%3Cscript%3E", "/no/such/page", f"/decisions/{EVIL}/report",
    "/find?kind=%22%3E%3Cscript%3E", "/approvals", "/find?q=%22%3E%3Cscript%3Ealert(1)%3C/script%3E",
    "/?done=%3Cscript%3E", "/symbols/AAPL?asked=%22%3E%3Cscript%3E", "/sign-in?to=%22%3E%3Cscript%3Ealert(1)%3C/script%3E",
)  # fmt: skip
VOID = {"meta", "link", "input", "br", "img", "hr"}


class Tags(HTMLParser):
    """Every tag with its attributes; fails if one is not closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID and not self.get_starttag_text().endswith("/>"):  # type: ignore[union-attr]
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag


def tags_of(page: str) -> list[tuple[str, dict[str, str | None]]]:
    tags = Tags()
    tags.feed(page)
    tags.close()
    return tags.seen


async def test_in_no_page_does_a_strangers_text_become_markup(browser: Browser) -> None:
    """The hostile text is in headlines, position, tick ids, reasoning, and in the text typed into the address."""
    shown = 0
    for path in PAGES:
        page = (await browser.get(path)).text
        shown += page.count("owned")
        for tag, attributes in tags_of(page):
            assert not [name for name in attributes if name.startswith("on")], (path, tag, attributes)
            assert tag not in ("img", "iframe", "object", "b"), path
            for name in ("href", "src", "action"):
                assert not (attributes.get(name) or "").lower().startswith(("javascript:", "//", "http")), (path, tag)
        assert "\u202e" not in page, path
        assert "\x1b" not in page, path
    assert shown > 5


async def test_no_page_has_an_inline_script_or_style(browser: Browser) -> None:
    for path in PAGES:
        if path.endswith("/report"):  # a file of its own, with the digests of its scripts
            continue
        for tag, attributes in tags_of((await browser.get(path)).text):
            assert tag != "style", path
            assert "style" not in attributes, (path, tag)
            assert tag != "script" or attributes.get("src", "").startswith("/static/"), path  # type: ignore[union-attr]


async def test_the_first_page_is_small(browser: Browser) -> None:
    page = (await browser.get("/")).text
    parts = [
        attributes.get("src") or attributes.get("href")
        for tag, attributes in tags_of(page)
        if tag in ("script", "link")
    ]
    sizes = [len((await browser.get(str(part))).text) for part in parts]
    assert len(parts) == 3
    assert len(page) + sum(sizes) < 150_000


async def test_the_desk_shows_each_position_with_its_age_and_its_profit(browser: Browser) -> None:
    page = (await browser.get("/")).text
    assert page.count("<tr data-key") == 2 + 5
    assert re.search(r'data-h="last" data-watch>100<', page)
    assert "all signed" in page
    assert 'href="/symbols/AAPL"' in page


async def test_a_decision_links_each_citation_to_its_fact_and_marks_a_wrong_number(browser: Browser) -> None:
    page = (await browser.get(f"/decisions/{WRONG}")).text
    linked = re.search(r'href="#(fact-\d+)" title="position.stop_loss = 90.0">\[position.stop_loss\]', page)
    assert linked is not None
    assert re.search(rf'<tr id="{linked[1]}"><td><code>position.stop_loss</code>', page)
    assert re.search(r'<del class="wrong">123.45</del><ins class="right"> is 100.0</ins>', page)
    assert '<del class="wrong">' not in (await browser.get(f"/decisions/{HONEST}")).text


async def test_a_decision_shows_what_guards_and_limits_left_of_it(browser: Browser) -> None:
    page = (await browser.get(f"/decisions/{WRONG}")).text
    before, after = re.findall(r"<tr><td>(?:before|after)</td>(.*?)</tr>", page)
    assert ("exit" in before, "exit" in after) == (True, True)
    folded = re.findall(r"<details( open)?><summary>(system|user) ", page)
    assert folded == [("", "system"), (" open", "user")]


async def test_a_record_has_one_address_and_says_where_there_is_none(browser: Browser) -> None:
    missing = await browser.get("/decisions/99")
    assert missing.status == 404
    assert "llmctx decisions" in missing.text


@pytest.mark.parametrize(
    ("terms", "addresses"),
    [
        ("", ["4", "3", "2", "1", "0"]),
        ("?symbol=AAPL", ["3", "1"]),
        ("?text=123.45", ["3"]),
        ("?prompt=position&symbol=MSFT", ["4"]),
        ("?model=nobody", []),
        ("?kind=failed", []),
        ("?q=AAPL+exit", ["3"]),
        ("?q=2026-03-02+15:00,+AAPL", ["3"]),
        ("?q=%22123.45%22", ["3"]),
        ("?limit=1", ["4"]),
        ("?at=2026-03-02T15:00:00Z", ["3", "4"]),
    ],
)
async def test_find_lists_what_matches(browser: Browser, terms: str, addresses: list[str]) -> None:
    page = (await browser.get(f"/find{terms}")).text
    assert re.findall(r'<tr data-key="(\d+)"', page) == addresses
    lines = (await browser.get(f"/find.csv{terms}")).text.splitlines()
    assert [line.partition(",")[0] for line in lines[1:]] == addresses
    found = (await browser.get(f"/api/v1/decisions{terms}")).document["records"]
    assert [record["address"] for record in found] == addresses


async def test_find_says_when_the_record_in_force_is_of_another_day(browser: Browser) -> None:
    page = (await browser.get("/find?q=15:00,+AAPL")).text
    assert 'href="/find?q=15%3A00%2C%20AAPL%202026-03-02"' in page
    assert "Name the day" not in (await browser.get("/find?q=15:00,+AAPL+2026-03-02")).text


async def test_a_malformed_search_says_what_to_write(browser: Browser) -> None:
    page = await browser.get("/find?since=yesterday")
    assert page.status == 400
    assert "2h" in page.text


async def test_a_cell_that_a_spreadsheet_would_run_begins_with_an_apostrophe(browser: Browser) -> None:
    from llmctx.console.listing import as_csv  # noqa: PLC0415
    from llmctx.console.story import Brief  # noqa: PLC0415

    row = Brief("1", 0, "decision", "X", "hold", "", None, None, (), "=1+1", "@SUM(A1)", None, None)
    assert "'=1+1,'@SUM(A1)" in as_csv([row])
    assert HOSTILE.partition("<img")[0] in (await browser.get("/find.csv")).text


async def test_the_symbol_page_draws_every_record_on_the_price(browser: Browser) -> None:
    page = (await browser.get("/symbols/AAPL")).text
    marks = [attributes for tag, attributes in tags_of(page) if "data-read" in attributes]
    assert [str(mark["data-read"]).split()[0] for mark in marks] == ["1", "3"]
    assert 'class="stop"' in page or 'class="price"' in page


async def test_health_says_what_the_doctor_says(browser: Browser) -> None:
    page = (await browser.get("/health")).text
    assert "leases" in page
    assert "llmctx run" in page


async def test_what_people_say_and_what_is_halted_is_shown(dumb: Program, browser: Browser) -> None:
    said = await dumb("annotate", HONEST, "--by", "R. Ohm", "--why", HOSTILE)
    assert said.code == 0, said.err
    assert "⚠ all" not in (await browser.get("/")).text
    halted = await dumb("halt", "--by", "R. Ohm", "--why", "a drill")
    assert halted.code == 0, halted.err
    page = (await browser.get(f"/decisions/{HONEST}")).text
    assert "annotated by R. Ohm" in page
    assert "<script>document" not in page
    (address,) = re.findall(r'href="/decisions/(\d+)">\d+</a> <time', page)
    assert f'href="/decisions/{HONEST}"' in (await browser.get(f"/decisions/{address}")).text
    assert "⚠ all" in (await browser.get("/")).text
    assert (await browser.get("/api/v1/status")).document["halted"] == ["all"]
