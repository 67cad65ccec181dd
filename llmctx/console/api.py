"""The API under /api/v1: one table of operations, from which come the routes and the OpenAPI document.

Whatever changes something goes through the same functions as the command line, and through the guard (guard.py).
"""

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from sse_starlette import EventSourceResponse
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from llmctx.console.api_answers import detail_of, position_of, record_of
from llmctx.console.api_models import (
    PositionList,
    Problem,
    ReceiptAnswer,
    RecordDetail,
    RecordList,
    StatusAnswer,
    WaitingAnswer,
    WaitingList,
)
from llmctx.console.api_requests import (
    AnnotationRequest,
    ApprovalRequest,
    EffectAnswer,
    HaltAnswer,
    HaltRequest,
    RecordedAnswer,
    TickAnswer,
    TickRequest,
)
from llmctx.console.api_writes import ACCEPTED, Writes
from llmctx.console.desk import read_desk, read_status
from llmctx.console.health import Health
from llmctx.console.listing import TERMS, find_entries, read_query
from llmctx.console.quality import TERMS as QUALITY_TERMS
from llmctx.console.quality_figures import Quality
from llmctx.console.readers import Readers
from llmctx.console.stream import Broadcast
from llmctx.console.subject import Subject
from llmctx.schema.values import Effect
from llmctx.trail.source.lookup import read_record, said_of
from llmctx.version import VERSION

BASE = "/api/v1"
"""What every path of the API begins with."""
_PING_S = 15


class Operation(NamedTuple):
    """One operation of the API."""

    method: str
    """GET or POST."""
    path: str
    """Its path below the base."""
    summary: str
    """What it does, in one line."""
    handler: Callable[[Request], Awaitable[Response]]
    """Answers a request."""
    answer: type[BaseModel] | None
    """The form of its answer; None for a stream of events."""
    terms: tuple[str, ...] = ()
    """The names of its query's terms."""
    body: type[BaseModel] | None = None
    """The form of its body."""

    @property
    def path_names(self) -> list[str]:
        """The names in its path."""
        return [part[1:-1] for part in self.path.split("/") if part.startswith("{")]


class Api:
    """The API of one subject."""

    def __init__(self, subject: Subject, decisions: Broadcast, readers: Readers) -> None:
        self._subject = subject
        self._readers = readers
        self._decisions = decisions
        writes = Writes(subject)
        self.operations = (
            Operation("GET", "/status", "How the trail stands.", self._status, StatusAnswer),
            Operation("GET", "/positions", "Every open position.", self._positions, PositionList),
            Operation("GET", "/decisions", "Records by what they say.", self._find, RecordList, TERMS),
            Operation("GET", "/decisions/stream", "Each record as it is recorded.", self._stream, None),
            Operation("GET", "/decisions/{address}", "One record with its evidence.", self._show, RecordDetail),
            Operation("GET", "/decisions/{address}/receipt", "The proof of a record.", self._receipt, ReceiptAnswer),
            Operation("GET", "/quality", "Answers in groups.", self._quality, Quality, QUALITY_TERMS),
            Operation("GET", "/health", "What doctor and status say.", self._health, Health),
            Operation("POST", "/ticks", "Ask for a decision.", writes.tick, TickAnswer, body=TickRequest),
            Operation("POST", "/effects", "Say what became of one.", writes.effect, EffectAnswer, body=Effect),
            Operation("POST", "/halt", "Halt or resume.", writes.halt, HaltAnswer, body=HaltRequest),
            Operation("GET", "/approvals", "What waits for a person.", self._approvals, WaitingList),
            Operation(
                "POST", "/approvals", "Approve or override.", writes.approval, RecordedAnswer, body=ApprovalRequest
            ),
            Operation(
                "POST", "/annotations", "Note something.", writes.annotation, RecordedAnswer, body=AnnotationRequest
            ),
        )
        """Every operation."""

    def routes(self) -> list[Route]:
        """The routes of all operations, and of the document that describes them."""
        found = [Route(BASE + one.path, one.handler, methods=[one.method]) for one in self.operations]
        return [*found, Route(f"{BASE}/openapi.json", self._openapi)]

    def document(self) -> dict[str, Any]:
        """The OpenAPI document."""
        models = [model for one in self.operations for model in (one.answer, one.body) if model is not None]
        modes = [(model, "serialization") for model in dict.fromkeys([*models, Problem])]
        _, schemas = models_json_schema(modes, ref_template="#/components/schemas/{model}")  # type: ignore[arg-type]
        paths: dict[str, Any] = {}
        for one in self.operations:
            paths.setdefault(BASE + one.path, {})[one.method.lower()] = _described(one)
        about = {"title": "llmctx console", "version": VERSION, "description": "What was decided, why, and the proof."}
        bearer = {"token": {"type": "http", "scheme": "bearer"}}
        parts = {"schemas": schemas["$defs"], "securitySchemes": bearer}
        return {"openapi": "3.1.0", "info": about, "paths": paths, "components": parts}

    async def _openapi(self, _: Request) -> Response:
        return JSONResponse(self.document())

    async def _status(self, _: Request) -> Response:
        return _json(await read_status(self._subject.require_live()))

    async def _positions(self, _: Request) -> Response:
        desk = await read_desk(self._subject.require_live(), await self._subject.source())
        return _json(PositionList(positions=[position_of(row) for row in desk.rows]))

    async def _approvals(self, _: Request) -> Response:
        self._subject.require_live()
        reader = self._readers.waiting
        waiting = [] if reader is None else await reader.read()
        return _json(WaitingList(waiting=[WaitingAnswer(**one.fields) for one in waiting]))

    async def _find(self, request: Request) -> Response:
        source = await self._subject.source()
        entries = await find_entries(source, read_query(dict(request.query_params)))
        return _json(RecordList(records=[record_of(entry, source.partitions) for entry in entries]))

    async def _show(self, request: Request) -> Response:
        source = await self._subject.source()
        entry = await read_record(source, request.path_params["address"])
        return _json(detail_of(entry, source.partitions, await said_of(source, entry)))

    async def _receipt(self, request: Request) -> Response:
        entry = await read_record(await self._subject.source(), request.path_params["address"])
        return _json(ReceiptAnswer(**await self._subject.receipt(entry)))

    async def _quality(self, request: Request) -> Response:
        return _json(await self._readers.quality.read(request.query_params))

    async def _health(self, _: Request) -> Response:
        self._subject.require_live()
        found = await self._readers.health.read()
        assert found is not None  # a live system has one
        return _json(found)

    async def _stream(self, _: Request) -> Response:
        self._subject.require_live()
        return EventSourceResponse(self._decisions.open(), ping=_PING_S)


def _json(answer: BaseModel) -> Response:
    return Response(answer.model_dump_json(), media_type="application/json")


def _described(one: Operation) -> dict[str, Any]:
    """An operation as OpenAPI has it."""
    text = {"schema": {"type": "string"}}
    parameters = [{"name": name, "in": "path", "required": True, **text} for name in one.path_names]
    parameters += [{"name": name, "in": "query", **text} for name in one.terms]
    content = _content("text/event-stream", None) if one.answer is None else _content("application/json", one.answer)
    good = str(ACCEPTED) if one.method == "POST" else "200"
    problem = {"description": "What went wrong, and what to do.", "content": _content("application/json", Problem)}
    described: dict[str, Any] = {
        "summary": one.summary,
        "operationId": one.handler.__name__.strip("_"),
        "parameters": parameters,
        "responses": {good: {"description": one.summary, "content": content}, "default": problem},
    }
    if one.body is not None:
        described |= {"requestBody": {"required": True, "content": _content("application/json", one.body)}}
        described |= {"security": [{"token": []}]}
    return described


def _content(kind: str, model: type[BaseModel] | None) -> dict[str, Any]:
    schema = {"type": "string"} if model is None else {"$ref": f"#/components/schemas/{model.__name__}"}
    return {kind: {"schema": schema}}
