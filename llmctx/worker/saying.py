"""Have what a person says recorded."""

from llmctx.errors import TrailError
from llmctx.statement import Act
from llmctx.trail.log.entry import address
from llmctx.trail.log.reader import LogReader
from llmctx.trail.proof.request import Request, request_id, sign_request
from llmctx.trail.proof.writer import load_or_make_writer
from llmctx.worker.home import TrailHome
from llmctx.worker.people import REQUEST, check_name, judge, record_act, said_at
from llmctx.worker.requests import ask_owner


async def say(home: TrailHome, partition: int, act: Act) -> str:
    """Have the owner record what a person says; returns the record's address.

    Raises LeaseError if the owner does not answer, TrailError if it refuses or the server does not answer.
    """
    writer, content = load_or_make_writer(home.state_dir, home.instance.id), act.model_dump(mode="json")
    entry = sign_request(REQUEST, content, writer, home.instance.id, partition)
    request, log = Request(REQUEST, content, request_id(entry)), LogReader(home.redis, partition)
    check_name(home.people, act)
    await judge(log, act, act.at_ms)
    index = await ask_owner(
        home, partition, entry, lambda owner: record_act(owner, request), lambda: said_at(log, request.id)
    )
    if index is None:
        raise TrailError("The owner refused it.", "Its log says why; its settings name who may.")
    return address(index, partition, home.instance.partitions)
