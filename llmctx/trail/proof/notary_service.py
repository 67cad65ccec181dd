"""The notary service: attend to every partition once a second until told to stop; or once, now."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from llmctx import clock
from llmctx.errors import (
    AnchorBusyError,
    ForkError,
    InstanceError,
    KeyFileError,
    ReceiptError,
    TrailError,
    in_short,
)
from llmctx.trail.log.entry import Entry
from llmctx.trail.log.instance import Instance
from llmctx.trail.proof.anchor import Anchor, anchor_directory
from llmctx.trail.proof.checkpoint import Checkpoint, Key
from llmctx.trail.proof.key import SigningKey, key_file, load_key, load_notary_key, read_public_key
from llmctx.trail.proof.notary import MIN_INTERVAL_MS, Notary
from llmctx.trail.proof.receipt import make_receipt
from llmctx.trail.proof.replaced import refuse_new_key, refuse_replaced

_log = logging.getLogger(__name__)


async def serve_notary(
    redis: Redis,
    instance: Instance,
    state_dir: Path,
    stop: asyncio.Event,
    *,
    on_checkpoint: Callable[[Checkpoint], None] = lambda _: None,
    waits: bool = False,
) -> None:
    """Sign every partition until `stop` is set, and then once more.

    Makes the private key if there is none. Logs a warning and retries while Redis is away or the disk is full. Waits
    while another notary holds an anchor, and takes over when that one ends.

    Raises ForkError if the log contradicts an anchor, InstanceError if Redis has another instance. Raises KeyFileError
    if the key cannot be used, is not the one that signed the trail, or if the state directory has the public key alone;
    with `waits` that is an error in the log, and nothing is signed until the key is put right.
    """

    def key_for(partition: int) -> SigningKey:
        refuse_new_key(state_dir, instance.id, partition)
        key = load_notary_key(state_dir, instance.id)
        refuse_replaced(state_dir, instance.id, partition)
        return key

    def notary(partition: int) -> Notary:
        return Notary(redis, instance, partition, state_dir, key_for(partition))

    if not waits:
        key_for(0)
    partitions = range(instance.partitions)
    await asyncio.gather(*(_serve(partial(notary, each), each, stop, on_checkpoint) for each in partitions))


async def _serve(
    make: Callable[[], Notary],
    partition: int,
    stop: asyncio.Event,
    on_checkpoint: Callable[[Checkpoint], None],
) -> None:
    logged = ""
    while True:
        try:
            notary = make()
            with notary.anchor.lock():
                await notary.open()
                logged = ""
                await _attend(notary, stop, on_checkpoint)
                return
        except (ForkError, InstanceError):
            raise
        except Exception as error:  # noqa: BLE001  whatever breaks here must cost no tick
            if (told := str(error) if isinstance(error, TrailError) else in_short(error)) != logged:
                logged = told
                _tell(error, partition)
        if await _stopped_within(stop, MIN_INTERVAL_MS):
            return


def _tell(error: Exception, partition: int) -> None:
    """Log why a partition is not signed."""
    alert = {"alert": "unsigned", "subject": str(partition)}
    match error:
        case AnchorBusyError():
            _log.info(str(error))
        case KeyFileError():
            _log.error(str(error), extra=alert)
        case TrailError():
            _log.warning(str(error))
        case _:
            _log.error(
                f"The notary of partition {partition} broke off: {in_short(error)}. It begins again", extra=alert
            )
            _log.debug(f"the notary of partition {partition} broke off", exc_info=error)


async def _attend(notary: Notary, stop: asyncio.Event, on_checkpoint: Callable[[Checkpoint], None]) -> None:
    while True:
        stopping = stop.is_set()
        began_s = clock.monotonic_s()
        checkpoint = await notary.attend()
        if checkpoint is not None:
            on_checkpoint(checkpoint)
        if stopping:
            return
        if await _stopped_within(stop, MIN_INTERVAL_MS) and notary.last is not None:
            # Records settled while stopping are covered too, once the shortest interval has passed.
            await asyncio.sleep(max(0.0, MIN_INTERVAL_MS - clock.elapsed_ms(began_s) + 50) / 1000)


async def _stopped_within(stop: asyncio.Event, ms: int) -> bool:
    try:
        await asyncio.wait_for(stop.wait(), ms / 1000)
    except TimeoutError:
        return False
    return True


async def cover_now(redis: Redis, instance: Instance, state_dir: Path, signing: SigningKey) -> None:
    """Sign what is durable now; if another notary is running, wait until it has.

    Raises ForkError, InstanceError and TrailError as `Notary.attend` does.
    """
    for partition in range(instance.partitions):
        notary = Notary(redis, instance, partition, state_dir, signing)
        try:
            with notary.anchor.lock():
                await notary.open()
                await notary.attend()
                if await notary.is_behind():  # it signed less than a second ago
                    await asyncio.sleep(MIN_INTERVAL_MS / 1000)
                    await notary.attend()
        except AnchorBusyError:
            await asyncio.sleep(2 * MIN_INTERVAL_MS / 1000)


async def cover_and_read_key(redis: Redis, instance: Instance, state_dir: Path) -> Key:
    """The public key; if the private key is in the state directory, what is durable is covered first.

    Raises KeyFileError if the state directory has neither key.
    """
    if key_file(state_dir, instance.id).exists():
        signing = load_key(state_dir, instance.id)
        await cover_now(redis, instance, state_dir, signing)
        return signing.key
    public = read_public_key(state_dir, instance.id)
    if public is None:
        raise KeyFileError(
            f"{state_dir} has no key of instance {instance.id}, so nothing was ever signed there.",
            "Name the notary's --state-dir, or start a notary: `llmctx run` or `llmctx notary`.",
        )
    return public


async def issue_receipt(redis: Redis, instance: Instance, state_dir: Path, entry: Entry) -> dict[str, Any]:
    """The receipt of a record, covering it first if the private key is in the state directory.

    Raises ReceiptError if no checkpoint covers the record.
    """
    anchor = Anchor(anchor_directory(state_dir, instance.id, entry.partition))
    if anchor.size <= entry.index or anchor.newest() is None:
        with contextlib.suppress(KeyFileError):
            await cover_and_read_key(redis, instance, state_dir)
    return anchored_receipt(instance, state_dir, entry)


def anchored_receipt(instance: Instance, state_dir: Path, entry: Entry) -> dict[str, Any]:
    """The receipt of a record from existing signatures; nothing is signed for it.

    Raises ReceiptError if no checkpoint in the state directory covers the record.
    """
    anchor = Anchor(anchor_directory(state_dir, instance.id, entry.partition))
    note = anchor.newest()
    if note is None:
        raise ReceiptError(
            f"The anchor {anchor.directory} has no checkpoint yet.",
            "Name the notary's --state-dir, or start a notary: `llmctx run` or `llmctx notary`.",
        )
    return make_receipt(entry.leaf, entry.index, anchor.hashes(), note)
