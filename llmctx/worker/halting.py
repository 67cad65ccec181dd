"""Halt or resume, and have that recorded."""

from llmctx.errors import TrailError
from llmctx.schema import keys
from llmctx.trail.log.entry import address
from llmctx.trail.log.log import Log
from llmctx.trail.proof.request import Request, request_id, sign_request
from llmctx.trail.proof.writer import load_or_make_writer
from llmctx.worker.controls import REQUEST, Control, note_once, noted
from llmctx.worker.home import TrailHome
from llmctx.worker.requests import ask_owner


async def record(home: TrailHome, control: Control) -> str:
    """Have the owner record it: of the symbol's partition, or of the first one; returns the record's address.

    Raises LeaseError if the owner does not answer, TrailError if it refuses or the server does not answer.
    """
    partition = 0 if control.symbol is None else keys.partition_of(control.symbol, home.instance.partitions)
    writer = load_or_make_writer(home.state_dir, home.instance.id)
    content = control.model_dump(mode="json")
    entry = sign_request(REQUEST, content, writer, home.instance.id, partition)
    request, log = Request(REQUEST, content, request_id(entry)), Log(home.redis, partition)
    index = await ask_owner(
        home,
        partition,
        entry,
        lambda owner: note_once(owner, request),
        lambda: noted(log, request.id, control.at_ms),
    )
    if index is None:
        raise TrailError("The owner did not record it.", "The key is set as asked; the owner's log says why.")
    return address(index, partition, home.instance.partitions)
