"""The changes that people and programs make through the console, by the same functions as the command line."""

import uuid
from collections.abc import Mapping

from llmctx.connection import server_ms
from llmctx.console.api_requests import (
    AnnotationRequest,
    ApprovalRequest,
    HaltAnswer,
    HaltRequest,
    RecordedAnswer,
    TickAnswer,
    TickRequest,
)
from llmctx.console.subject import Live
from llmctx.context.tick import Tick
from llmctx.errors import ConsoleError
from llmctx.schema.symbol import check_symbol
from llmctx.statement import Act
from llmctx.trail.log.entry import parse_address
from llmctx.worker.controls import Control, apply, halted, note
from llmctx.worker.saying import say
from llmctx.worker.ticks import raise_tick


def check_person(user: str, by: str | None, people: Mapping[str, tuple[str, ...]]) -> None:
    """Check who acts; `user` is the name from the proxy, empty without one, and `by` the given name.

    Raises ConsoleError if the two differ, or if the settings name people and the proxy's person is not among them.
    """
    if user and by is not None and by != user:
        raise ConsoleError(f"You are signed in as {user}, not as {by}.", f"Write {user} as the name, or sign in again.")
    if user and people and user not in people:
        raise ConsoleError(f"{user} is not among the people in the settings.", "Name them in [people], with a role.")


async def ask_for(live: Live, wanted: TickRequest, source: str) -> TickAnswer:
    """Ask for a decision; `source` begins the id of a tick that has none.

    Raises SchemaError for a malformed symbol, RedisError if the server does not answer.
    """
    symbol = check_symbol(wanted.symbol)
    tick = Tick(id=wanted.id or f"{source}-{uuid.uuid4().hex}", symbol=symbol, cause=wanted.cause)
    await raise_tick(live.redis, live.partition_of(symbol), tick)
    return TickAnswer(tick=tick.id, symbol=symbol)


async def control(live: Live, wanted: HaltRequest) -> HaltAnswer:
    """Halt or resume, at once, and return once that is recorded.

    Raises SchemaError for a malformed symbol, and as `llmctx.worker.controls.note` does.
    """
    if wanted.symbol is not None:
        check_symbol(wanted.symbol)
    person = await live.home.names.id_of(wanted.by)
    said = Control(**wanted.model_dump() | {"by": person}, at_ms=await server_ms(live.redis))
    await apply(live.redis, said)
    return HaltAnswer(address=await note(live.home, said), halted=await halted(live.redis))


async def state(live: Live, wanted: ApprovalRequest | AnnotationRequest) -> RecordedAnswer:
    """Have a person's statement about a record recorded.

    Raises AddressError for a malformed address, and as `llmctx.worker.saying.say` does.
    """
    partition, index = parse_address(wanted.address, live.instance.partitions)
    said = wanted.model_dump(exclude={"address"})
    act = Act.model_validate({"kind": "annotation", **said, "index": index})
    return RecordedAnswer(address=await say(live.home, partition, act))
