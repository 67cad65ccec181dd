"""Replace the instance key: in each partition, both keys sign a notice and a checkpoint.

Rules of order: no notary and no worker may run, and the new key is made only once that is certain. It is on the disk
before anything names it, and replaces the old one last. An interrupted rotation continues where it stopped, and nothing
is signed in between.
"""

from contextlib import AsyncExitStack

from llmctx.errors import LeaseError
from llmctx.record import compose_unread
from llmctx.trail.proof.checkpoint import Key
from llmctx.trail.proof.key import SigningKey, key_file, load_from
from llmctx.trail.proof.notary import Notary
from llmctx.trail.proof.replaced import refuse_replaced
from llmctx.trail.proof.rotation import finish_rotation, next_key, signed_rotation
from llmctx.worker.home import TrailHome
from llmctx.worker.owner import Owner


async def rotate_instance_key(home: TrailHome) -> tuple[Key, Key]:
    """Replace the instance key; returns the old public key and the new one.

    Raises AnchorBusyError or LeaseError while a notary or a worker runs, KeyFileError if the key that signed the trail
    is not in this state directory, TrailError if the server does not answer.
    """
    redis, instance, state_dir = home.redis, home.instance, home.state_dir
    old = load_from(key_file(state_dir, instance.id), instance.id)
    refuse_replaced(state_dir, instance.id)
    notaries = [Notary(redis, instance, partition, state_dir, old) for partition in range(instance.partitions)]
    async with AsyncExitStack() as held:
        for notary in notaries:
            held.enter_context(notary.anchor.lock())
        owners = [await _own(held, home, partition) for partition in range(instance.partitions)]
        new = next_key(state_dir, instance.id)
        for owner, notary in zip(owners, notaries, strict=True):
            await _note(owner, old, new)
            await notary.open()
            await notary.hand_over(new)
        finish_rotation(state_dir, instance.id)
    return old.key, new.key


async def _own(held: AsyncExitStack, home: TrailHome, partition: int) -> Owner:
    try:
        return await held.enter_async_context(Owner(home, partition))
    except LeaseError as error:
        raise LeaseError(error.what, "Stop the workers (`llmctx run`) while the instance key is replaced.") from error


async def _note(owner: Owner, old: SigningKey, new: SigningKey) -> None:
    """Append the notice to a partition, unless its newest record is that notice."""
    newest = None if owner.log.known == 0 else await owner.log.entry(owner.log.known - 1)
    if newest is not None and newest.record.get("rotation", {}).get("new") == new.key.text:
        return
    owner.roster.rotate(old.key, owner.log.known)
    reason = f"instance key {new.key.id.hex()} replaces {old.key.id.hex()}"
    draft = compose_unread("notice", None, reason, await owner.metadata(), rotation=signed_rotation(old, new))
    await owner.settle(draft._replace(at=owner.log.known))
