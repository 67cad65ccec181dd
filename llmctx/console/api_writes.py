"""What the API changes, through the same functions as the command line; the guard has checked who asks."""

import uuid
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from llmctx.client import Client
from llmctx.connection import server_ms
from llmctx.console.api_requests import (
    EffectAnswer,
    HaltAnswer,
    HaltRequest,
    RecordedAnswer,
    StatementRequest,
    TickAnswer,
    TickRequest,
)
from llmctx.console.subject import Live, Subject
from llmctx.context.tick import Tick
from llmctx.errors import ConsoleError
from llmctx.schema.symbol import check_symbol
from llmctx.schema.values import Effect
from llmctx.statement import Act
from llmctx.trail.log.entry import parse_address
from llmctx.worker.controls import Control, apply, halted, note
from llmctx.worker.saying import say
from llmctx.worker.ticks import raise_tick

ACCEPTED = 202
"""The status of an answer to what was taken, and is done by others."""
Read = TypeVar("Read", bound=BaseModel)


class Writes:
    """The writing operations on one subject."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject

    def _live(self) -> Live:
        if self._subject.live is None:
            raise ConsoleError(f"{self._subject.name} is a copy, without a live system.", "Ask the live console.")
        return self._subject.live

    async def tick(self, request: Request) -> Response:
        """Ask for a decision."""
        live, wanted = self._live(), _read(TickRequest, await request.body())
        symbol = check_symbol(wanted.symbol)
        tick = Tick(id=wanted.id or f"api-{uuid.uuid4().hex}", symbol=symbol, cause=wanted.cause)
        await raise_tick(live.redis, live.partition_of(symbol), tick)
        return _json(TickAnswer(tick=tick.id, symbol=symbol))

    async def effect(self, request: Request) -> Response:
        """Report what became of a decision."""
        live, effect = self._live(), _read(Effect, await request.body())
        await Client(live.redis, live.instance).report_effect(effect)
        return _json(EffectAnswer(id=effect.id))

    async def halt(self, request: Request) -> Response:
        """Halt or resume, at once; the answer comes once that is recorded."""
        live, wanted = self._live(), _read(HaltRequest, await request.body())
        if wanted.symbol is not None:
            check_symbol(wanted.symbol)
        said = Control(**wanted.model_dump(), at_ms=await server_ms(live.redis))
        await apply(live.redis, said)
        return _json(HaltAnswer(address=await note(live.home, said), halted=await halted(live.redis)))

    async def statement(self, request: Request) -> Response:
        """Have what a person says of a record recorded: an approval, an override or an annotation."""
        live, wanted = self._live(), _read(StatementRequest, await request.body())
        partition, index = parse_address(wanted.address, live.instance.partitions)
        act = Act(kind=wanted.kind, index=index, by=wanted.by, why=wanted.why, action=wanted.action)
        return _json(RecordedAnswer(address=await say(live.home, partition, act)))


def _read(model: type[Read], body: bytes) -> Read:
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the body"
        raise ConsoleError(f"{place}: {first['msg']}.", "Send JSON as openapi.json describes it.") from error


def _json(answer: BaseModel) -> Response:
    return Response(answer.model_dump_json(), ACCEPTED, media_type="application/json")
