"""The operations of the API that change something; the guard has already checked the sender."""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from llmctx.client import Client
from llmctx.console.acts import ask_for, check_person, control, state
from llmctx.console.api_requests import AnnotationRequest, ApprovalRequest, EffectAnswer, HaltRequest, TickRequest
from llmctx.console.subject import Live, Subject
from llmctx.errors import ConsoleError
from llmctx.schema.values import Effect

ACCEPTED = 202
"""The status of a request that was accepted, and is carried out elsewhere."""
Read = TypeVar("Read", bound=BaseModel)


class Writes:
    """The writing operations on one subject."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject

    async def _read(self, model: type[Read], request: Request) -> tuple[Live, Read]:
        """The live system and the request, from somebody who is allowed to make it."""
        live = self._subject.require_live()
        wanted = read_request(model, await request.body())
        check_person(request.scope["user"], getattr(wanted, "by", None), live.people)
        return live, wanted

    async def tick(self, request: Request) -> Response:
        """Ask for a decision."""
        live, wanted = await self._read(TickRequest, request)
        return _json(await ask_for(live, wanted, "api"))

    async def effect(self, request: Request) -> Response:
        """Report an effect of a decision."""
        live, effect = await self._read(Effect, request)
        await Client(live.redis, live.instance).report_effect(effect)
        return _json(EffectAnswer(id=effect.id))

    async def halt(self, request: Request) -> Response:
        """Halt or resume, at once; the answer comes once that is recorded."""
        live, wanted = await self._read(HaltRequest, request)
        return _json(await control(live, wanted))

    async def approval(self, request: Request) -> Response:
        """Have an approval or an override recorded."""
        live, wanted = await self._read(ApprovalRequest, request)
        return _json(await state(live, wanted))

    async def annotation(self, request: Request) -> Response:
        """Have a note about a record recorded."""
        live, wanted = await self._read(AnnotationRequest, request)
        return _json(await state(live, wanted))


def read_request(model: type[Read], given: bytes | Mapping[str, Any]) -> Read:
    """Read a request from JSON, or from the fields of a form.

    Raises ConsoleError that names the field that is malformed.
    """
    try:
        return model.model_validate_json(given) if isinstance(given, bytes) else model.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the request"
        raise ConsoleError(f"{place}: {first['msg']}.", "/api/v1/openapi.json describes every field.") from error


def _json(answer: BaseModel) -> Response:
    return Response(answer.model_dump_json(), ACCEPTED, media_type="application/json")
