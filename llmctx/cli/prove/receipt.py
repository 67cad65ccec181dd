"""`llmctx receipt`: a proof of one record."""

import asyncio
from typing import Any

from llmctx.cli.shared.options import Address, From, MessagesAsJson, RedisUrl, StateDir
from llmctx.cli.shared.output import print_json
from llmctx.cli.shared.setup import open_trail, settings_for
from llmctx.cli.shared.sources import copy_in
from llmctx.settings import Settings


def receipt(
    address: Address,
    where: From = None,
    redis_url: RedisUrl = None,
    state_dir: StateDir = None,
    _as_json: MessagesAsJson = False,
) -> None:
    """Print a proof of one record that can be checked alone.

    One JSON document with the record's leaf, its inclusion proof and the signed checkpoint. `llmctx verify --receipt
    FILE` and audit/verify.py check it with nothing but the notary's public key. Whoever keeps a receipt can later show
    whether a trail still contains that record.

    \b
    llmctx receipt 12 > receipt.json
    llmctx receipt 12 --from ./export > receipt.json
    """
    print_json(asyncio.run(_receipt(settings_for(redis_url, state_dir), where, address)))


async def _receipt(settings: Settings, where: str | None, text: str) -> dict[str, Any]:
    from llmctx.trail.proof.notary_service import issue_receipt
    from llmctx.trail.source.copies import copy_source, receipt_of
    from llmctx.trail.source.joined import trail_source
    from llmctx.trail.source.lookup import read_record

    if where is not None:
        copy = copy_in(where, "receipt")
        return receipt_of(copy, await read_record(copy_source(copy), text))
    async with open_trail(settings) as (redis, instance):
        entry = await read_record(await trail_source(redis, instance, settings.archive), text)
        return await issue_receipt(redis, instance, settings.state_dir, entry)
