"""The pages: each reads what it shows, renders one template, and needs no script to be read."""

import re
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from llmctx import clock
from llmctx.console.aftermath import moves_after
from llmctx.console.before import prompt_before
from llmctx.console.chart import draw
from llmctx.console.comparison import answers_of, comparisons_in
from llmctx.console.desk import read_closes, read_desk, read_position
from llmctx.console.fills import paper_fills, recorded_fills
from llmctx.console.headlines import headlines_of
from llmctx.console.listing import ALL_KINDS, TERMS, as_csv, find, problem_of, read_query
from llmctx.console.readers import Readers
from llmctx.console.rendering import render
from llmctx.console.report import report_of, signed_text
from llmctx.console.search_words import terms_in
from llmctx.console.story import Story, brief_of, known_of
from llmctx.console.subject import Subject
from llmctx.console.thesis import turns_of
from llmctx.console.trend import trends_of
from llmctx.decision.decision import Action
from llmctx.errors import LlmctxError
from llmctx.publication import expires_ms
from llmctx.replay.selection import GUARDS
from llmctx.schema.symbol import check_symbol
from llmctx.trail.log.entry import Entry
from llmctx.trail.source.filter import Filter
from llmctx.trail.source.lookup import blobs_of, newest, read_record, said_of

_ADDRESS = re.compile(r"(?:\d{1,4}:)?\d{1,16}")
_CHART_BARS = 390
_SYMBOL_RECORDS = 200
_ACTIONS = (*(action.value for action in Action), "none")


class Pages:
    """The pages of one subject."""

    def __init__(self, subject: Subject, readers: Readers, *, writes: bool) -> None:
        """`writes` says whether requests may change anything."""
        self._subject = subject
        self._readers = readers
        self._writes = writes and subject.live is not None

    def page(self, name: str, page: str, status: int = 200, **values: Any) -> HTMLResponse:
        """A page from a template; `page` is its name in the navigation."""
        text = render(name, page=page, subject_name=self._subject.name, now=clock.now_ms(), **values)
        return HTMLResponse(text, status)

    async def desk(self, request: Request) -> Response:
        """Every open position, and the newest records."""
        live = self._subject.live
        desk = None if live is None else await read_desk(live, await self._subject.source())
        return self.page("desk", "Desk", desk=desk, **self._acting(request))

    async def find(self, request: Request) -> Response:
        """Records that match a query."""
        terms = {name: value for name, value in request.query_params.items() if name in TERMS}
        rows, problem, limit = [], None, 0
        try:
            query = read_query(terms)
            rows, limit = await find(await self._subject.source(), query), query.limit
        except LlmctxError as error:
            problem = problem_of(error)
        query_text = f"?{request.url.query}" if request.url.query else ""
        choices = {"actions": _ACTIONS, "guards": GUARDS, "kinds": ALL_KINDS}
        status = 400 if problem else 200
        shown = {"terms": terms, "understood": terms_in(terms.get("q", "")), "rows": rows, "problem": problem}
        return self.page("find", "Find", status, limit=limit, query=query_text, **shown, **choices)

    async def find_csv(self, request: Request) -> Response:
        """The same as CSV."""
        rows = await find(await self._subject.source(), read_query(dict(request.query_params)))
        headers = {"content-disposition": 'attachment; filename="llmctx-records.csv"'}
        return Response(as_csv(rows), media_type="text/csv; charset=utf-8", headers=headers)

    async def decision(self, request: Request) -> Response:
        """The story of one record, with its proof."""
        source = await self._subject.source()
        entry = await read_record(source, request.path_params["address"])
        story = Story(entry, source.partitions, await blobs_of(source, entry), self._subject.prices)
        values = await self._proof(entry)
        after = await moves_after(self._subject, entry, await blobs_of(source, entry))
        others = answers_of(self._subject.replays, source.origin, entry)
        before = await prompt_before(source, entry, story)
        return self.page(
            "decision",
            "Find",
            story=story,
            after=after,
            others=others,
            before=before,
            standalone=False,
            awaits=expires_ms(entry.record) is not None,
            **self._acting(request),
            said=[brief_of(other, source.partitions) for other in await said_of(source, entry)]
            if story.brief.symbol
            else [],
            **values,
        )

    async def _proof(self, entry: Entry) -> dict[str, Any]:
        """The receipt for a template, or why there is none."""
        try:
            receipt = await self._subject.receipt(entry)
        except LlmctxError as error:
            return {"receipt": None, "signed": "", "unsigned": f"{error.what} {error.do}"}
        return {"receipt": receipt, "signed": signed_text(receipt), "unsigned": ""}

    async def receipt(self, request: Request) -> Response:
        """The receipt of a record as a file."""
        entry = await read_record(await self._subject.source(), request.path_params["address"])
        name = f"receipt-{entry.partition}-{entry.index}.json"
        headers = {"content-disposition": f'attachment; filename="{name}"'}
        return JSONResponse(await self._subject.receipt(entry), headers=headers)

    async def report(self, request: Request) -> Response:
        """The decision page as one self-contained file."""
        source = await self._subject.source()
        entry = await read_record(source, request.path_params["address"])
        text = await report_of(self._subject, source, entry)
        headers = {"content-disposition": f'attachment; filename="decision-{entry.partition}-{entry.index}.html"'}
        return HTMLResponse(text, headers=headers)

    async def symbol(self, request: Request) -> Response:
        """One symbol: its price with the decisions on it, its thesis, and its current sections."""
        symbol = check_symbol(request.path_params["symbol"])
        live, source = self._subject.live, await self._subject.source()
        entries = (await newest(source.parts, Filter(symbol), _SYMBOL_RECORDS)).entries
        package = None if live is None else await read_position(live, symbol)
        closes = [] if live is None else await read_closes(live, symbol, _CHART_BARS)
        fills = recorded_fills(entries) or ([] if live is None else await paper_fills(live, symbol))
        news = headlines_of(entries, package)
        shown: dict[str, Any] = {
            "package": package,
            "sections": [] if package is None else known_of(package),
            "rows": [brief_of(entry, source.partitions) for entry in reversed(entries)],
            "turns": turns_of(entries, source.partitions),
            "news": news,
            "chart": draw(closes, fills, entries, news, source.partitions),
            "asked": request.query_params.get("asked"),
        }
        return self.page("symbol", "Desk", symbol=symbol, **shown, **self._acting(request))

    async def approvals(self, request: Request) -> Response:
        """What waits for a person."""
        live, reader = self._subject.live, self._readers.waiting
        waiting = [] if reader is None else await reader.read()
        people = {} if live is None else live.people
        approvers = sorted(name for name, roles in people.items() if "approver" in roles)
        return self.page("approvals", "Approvals", waiting=waiting, **self._acting(request) | {"people": approvers})

    def _acting(self, request: Request) -> dict[str, Any]:
        """Who may act on a page, for its forms, and the act just recorded."""
        done = request.query_params.get("done")
        people = {} if self._subject.live is None else self._subject.live.people
        return {
            "writes": self._writes,
            "form_key": request.scope["form_key"],
            "user": request.scope["user"],
            "people": sorted(people),
            "here": request.url.path,
            "done": done if done is not None and _ADDRESS.fullmatch(done) else None,
        }

    async def quality(self, request: Request) -> Response:
        """Grounding, calibration, outcomes, cost and latency over time, and which versions were in use when."""
        terms = dict(request.query_params)
        found = await self._readers.quality.read(terms)
        return self.page("quality", "Quality", found=found, trends=trends_of(found), terms=terms)

    async def health(self, _: Request) -> Response:
        """The reports of doctor and status."""
        return self.page("health", "Health", health=await self._readers.health.read())

    async def comparisons(self, _: Request) -> Response:
        """The replay results that can be compared."""
        found = comparisons_in(self._subject.replays)
        return self.page("comparisons", "Compare", found=found, folder=self._subject.replays)

    async def compare(self, request: Request) -> Response:
        """Two results side by side, as `llmctx compare --html` shows them."""
        first, second = request.query_params.get("a", ""), request.query_params.get("b", "")
        return HTMLResponse(await self._readers.comparisons.page(first, second))

    async def sign_in(self, request: Request) -> Response:
        """The page that asks for the token."""
        query = request.query_params
        return self.page("sign_in", "", to=query.get("to", "/"), wrong="wrong" in query)

    async def no_decision(self, _: Request) -> Response:
        """Without an address: the list."""
        return RedirectResponse("/find", 307)
