"""Commands that hand proofs out: export, receipt."""

import asyncio
import contextlib
from pathlib import Path
from typing import Annotated, Any

import typer
from redis.asyncio import Redis

from llmctx.cli.look import read_existing_instance
from llmctx.cli.options import AsJson, RedisUrl, StateDir
from llmctx.cli.output import out, print_json, warn
from llmctx.cli.progress import progress
from llmctx.cli.setup import redis_of, settings_for
from llmctx.errors import KeyFileError, ReceiptError
from llmctx.settings import Settings
from llmctx.trail.export.writer import Exported
from llmctx.trail.log.instance import Instance
from llmctx.trail.proof.checkpoint import Key


def export(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A folder that is not there yet.")],
    redis_url: RedisUrl = None,
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """Export the trail: all that an auditor needs.

    Leaves, evidence, checkpoints, template sources and the public key, in files that audit/README.md states byte by
    byte. What no checkpoint covers yet is left out, and told; with the notary's key at hand it is covered first.

    \b
    llmctx export ./export
    """
    done = asyncio.run(_export(settings_for(redis_url, state_dir), directory, quiet=as_json))
    if as_json:
        for part in done:
            print_json(part._asdict())
        return
    for part in done:
        lost = f", {part.lost} of them lost" if part.lost else ""
        out.print(f"partition {part.partition}: {part.size} records{lost} in {directory / str(part.partition)}")
        if part.uncovered:
            warn(f"{part.uncovered} records of partition {part.partition} are not covered yet and were left out")


async def _export(settings: Settings, directory: Path, *, quiet: bool) -> list[Exported]:
    from llmctx.trail.export.writer import Exporter
    from llmctx.trail.log.log import Log

    done = []
    async with redis_of(settings) as (redis, _):
        instance = await read_existing_instance(redis)
        exporter = Exporter(directory, instance, settings.state_dir, await covered(redis, settings, instance))
        exporter.open()
        for partition in range(instance.partitions):
            log = Log(redis, partition)
            with progress(f"partition {partition}", await log.size(), quiet=quiet) as advance:
                done.append(await exporter.write(log, advance))
    exporter.close(done)
    return done


async def covered(redis: Redis, settings: Settings, instance: Instance) -> Key:
    """The public key, after all that is durable was signed where the private one is at hand.

    Raises KeyFileError where there is neither.
    """
    from llmctx.trail.proof.key import key_file, load_key, read_public_key
    from llmctx.trail.proof.notary_service import cover_now

    if key_file(settings.state_dir, instance.id).exists():
        signing = load_key(settings.state_dir, instance.id)
        await cover_now(redis, instance, settings.state_dir, signing)
        return signing.key
    public = read_public_key(settings.state_dir, instance.id)
    if public is None:
        raise KeyFileError(
            f"{settings.state_dir} has no key of instance {instance.id}, so nothing was ever signed there.",
            "Name the notary's --state-dir, or start one: `llmctx run` or `llmctx notary`.",
        )
    return public


def receipt(
    record: Annotated[
        str, typer.Argument(metavar="ADDRESS", help="INDEX, or P:INDEX where there are several partitions.")
    ],
    redis_url: RedisUrl = None,
    state_dir: StateDir = None,
) -> None:
    """Print one record as a proof that stands alone.

    Its leaf, the way from there to the root of the tree, and the signed checkpoint: one JSON document, which
    `llmctx verify --receipt FILE` and audit/verify.py check with the key and nothing else. Whoever holds one can
    tell later whether a trail still has that record.

    \b
    llmctx receipt 12 > receipt.json
    """
    print_json(asyncio.run(_receipt(settings_for(redis_url, state_dir), record)))


async def _receipt(settings: Settings, text: str) -> dict[str, Any]:
    from llmctx.cli.show import read_record
    from llmctx.trail.proof.anchor import Anchor, anchor_directory
    from llmctx.trail.proof.receipt import make_receipt

    async with redis_of(settings) as (redis, _):
        instance = await read_existing_instance(redis)
        entry = await read_record(redis, instance, text)
        anchor = Anchor(anchor_directory(settings.state_dir, instance.id, entry.partition))
        if anchor.size <= entry.index or anchor.newest() is None:
            with contextlib.suppress(KeyFileError):
                await covered(redis, settings, instance)
        note = anchor.newest()
        if note is None:
            raise ReceiptError(
                f"The anchor {anchor.directory} has no checkpoint yet.",
                "Name the notary's --state-dir, or start one: `llmctx run` or `llmctx notary`.",
            )
        return make_receipt(entry.leaf, entry.index, anchor.hashes(), note)
