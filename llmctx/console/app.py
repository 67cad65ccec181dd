"""The application: routes to pages and API, and every error as a page or as JSON with what to do."""

import contextlib

from redis.exceptions import RedisError
from sse_starlette import EventSourceResponse
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from llmctx.console.access import Door
from llmctx.console.api import Api
from llmctx.console.forms import Forms
from llmctx.console.guard import Guard
from llmctx.console.pages import Pages
from llmctx.console.readers import Readers
from llmctx.console.rendering import STATIC, compile_templates
from llmctx.console.stream import SymbolStreams, decision_stream, desk_stream
from llmctx.console.subject import Subject
from llmctx.errors import AddressError, LlmctxError, RequestError, ServerError
from llmctx.replay.page import STYLE
from llmctx.schema.symbol import check_symbol

_SERVED = {path.name: path for path in STATIC.iterdir()} | {"comparison.css": STYLE}
"""The files under /static, by name."""
_KEPT = "public, max-age=86400"
_PING_S = 15
_GZIP_BYTES = 1000


class Console:
    """The console of one subject, as an application."""

    def __init__(self, subject: Subject, door: Door) -> None:
        self._subject = subject
        readers = Readers.of(subject)
        self._readers = readers
        self._pages = Pages(subject, readers, writes=door.writes)
        self._forms = Forms(subject)
        self._desk, self._symbols = desk_stream(subject), SymbolStreams(subject)
        self._decisions = decision_stream(subject)
        self.api = Api(subject, self._decisions, readers)
        """Its API."""
        inner = Starlette(
            routes=self._routes(),
            middleware=[Middleware(GZipMiddleware, minimum_size=_GZIP_BYTES)],
            exception_handlers={LlmctxError: self._on_error, RedisError: self._on_error, HTTPException: self._on_error},
        )
        self.app = Guard(inner, door)
        """The application."""

    async def warm_up(self) -> None:
        """Compile the templates and measure the newest answers, so that the first reader need not wait for that."""
        compile_templates()
        with contextlib.suppress(LlmctxError, RedisError):  # whoever opens the page is told
            await self._readers.quality.read({})

    async def close(self) -> None:
        """End every stream."""
        for stream in (self._desk, self._symbols, self._decisions):
            await stream.close()

    def _routes(self) -> list[Route]:
        pages = self._pages
        found = {
            "/": pages.desk,
            "/find": pages.find,
            "/find.csv": pages.find_csv,
            "/decisions": pages.no_decision,
            "/decisions/{address}": pages.decision,
            "/decisions/{address}/receipt": pages.receipt,
            "/decisions/{address}/report": pages.report,
            "/symbols/{symbol:path}": pages.symbol,
            "/approvals": pages.approvals,
            "/quality": pages.quality,
            "/health": pages.health,
            "/compare": pages.comparisons,
            "/compare/page": pages.compare,
            "/sign-in": pages.sign_in,
            "/api": self._api_page,
            "/stream/desk": self._desk_stream,
            "/stream/symbols/{symbol:path}": self._symbol_stream,
            "/static/{name}": self._static,
        }
        forms = {
            "/halt": self._forms.halt,
            "/symbols/{symbol:path}": self._forms.ask,
            "/decisions/{address}": self._forms.state,
        }
        posts = [Route(path, handler, methods=["POST"]) for path, handler in forms.items()]
        return [*posts, *(Route(path, handler) for path, handler in found.items()), *self.api.routes()]

    async def _api_page(self, _: Request) -> Response:
        return self._pages.page("api", "API", operations=self.api.operations)

    async def _desk_stream(self, _: Request) -> Response:
        self._subject.require_live()
        return EventSourceResponse(self._desk.open(), ping=_PING_S)

    async def _symbol_stream(self, request: Request) -> Response:
        symbol = check_symbol(request.path_params["symbol"])
        return EventSourceResponse(self._symbols.open(symbol), ping=_PING_S)

    async def _static(self, request: Request) -> Response:
        path = _SERVED.get(request.path_params["name"])
        if path is None:
            raise HTTPException(404)
        return FileResponse(path, headers={"cache-control": _KEPT})

    async def _on_error(self, request: Request, error: Exception) -> Response:
        status, what, do = _told(error)
        if request.url.path.startswith("/api/v1"):
            return JSONResponse({"error": what, "what_to_do": do}, status)
        return self._pages.page("error", "", status, what=what, do=do)


def _told(error: Exception) -> tuple[int, str, str]:
    """Status, what happened, and what to do."""
    if isinstance(error, HTTPException):
        return error.status_code, error.detail, "The pages are named at the top; /api describes the API."
    if isinstance(error, AddressError):
        return 404, error.what, error.do
    if isinstance(error, RequestError):
        return 409, error.what, error.do
    if not isinstance(error, LlmctxError):
        error = ServerError(f"The server went away while it was asked: {error}.", "Load the page again.")
    return (503 if error.exit_code == ServerError.exit_code else 400), error.what, error.do
