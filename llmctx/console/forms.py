"""The forms of the pages: plain HTML forms that need no script; the guard has checked who sends them."""

from collections.abc import Mapping
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from llmctx.console.acts import ask_for, check_person, control, state
from llmctx.console.api_requests import AnnotationRequest, ApprovalRequest, HaltRequest, TickRequest
from llmctx.console.api_writes import read_request
from llmctx.console.sessions import form_in
from llmctx.console.subject import Live, Subject


class Forms:
    """The forms of one subject's pages. Each leads back to its page, which names the record that was made."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject

    async def _read(self, request: Request) -> tuple[Live, Mapping[str, str]]:
        """The live system and the submitted fields, with the name of whoever acts."""
        live = self._subject.require_live()
        fields = {name: text.strip() for name, text in form_in(await request.body()).items() if text.strip()}
        user = request.scope["user"]
        check_person(user, fields.get("by"), live.people)
        return live, fields | ({"by": user} if user else {})

    async def halt(self, request: Request) -> Response:
        """Halt or resume, from the desk."""
        live, fields = await self._read(request)
        done = await control(live, read_request(HaltRequest, _only(fields, "act", "symbol", "by", "why")))
        return _back("/", done=done.address)

    async def ask(self, request: Request) -> Response:
        """Ask for a decision, from a symbol's page."""
        live, _ = await self._read(request)
        symbol = request.path_params["symbol"]
        tick = await ask_for(live, TickRequest(symbol=symbol, cause="console"), "console")
        return _back(f"/symbols/{quote(symbol, safe='')}", asked=tick.tick)

    async def state(self, request: Request) -> Response:
        """Approve, override or annotate a record, from its page or from that of approvals."""
        live, fields = await self._read(request)
        address = request.path_params["address"]
        given = _only(fields, "by", "why") | {"address": address}
        kind, _, action = fields.get("do", "annotation").partition(" ")
        if kind == "annotation":
            done = await state(live, read_request(AnnotationRequest, given))
        else:
            given |= {"kind": kind} | ({"action": action} if action else {})
            done = await state(live, read_request(ApprovalRequest, given))
        back = "/approvals" if fields.get("from") == "approvals" else f"/decisions/{quote(address, safe='')}"
        return _back(back, done=done.address)


def _only(fields: Mapping[str, str], *names: str) -> dict[str, str]:
    return {name: fields[name] for name in names if name in fields}


def _back(page: str, **done: str) -> Response:
    query = "&".join(f"{name}={quote(value, safe='')}" for name, value in done.items())
    return RedirectResponse(f"{page}?{query}", 303)
