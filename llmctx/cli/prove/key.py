"""`llmctx key`: the notary's public key, and the one that follows it."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llmctx.cli.shared.options import AsJson, RedisUrl, StateDir
from llmctx.cli.shared.output import escape, messages, out, print_json
from llmctx.cli.shared.setup import home_of, redis_of, settings_for
from llmctx.errors import InstanceError
from llmctx.settings import Settings

if TYPE_CHECKING:
    from llmctx.trail.proof.checkpoint import Key


def key(
    make: Annotated[bool, typer.Option("--make", help="Make the key. An existing key is never overwritten.")] = False,
    rotate: Annotated[bool, typer.Option("--rotate", help="Replace the key by a new one, which it signs in.")] = False,
    redis_url: RedisUrl = None,
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """Print the public key that checkpoints are verified with.

    Give this line (the vkey) to the auditor over a separate channel: a key that comes with the records proves nothing.
    The private half is in STATE_DIR/keys, readable by its owner alone. `llmctx run` and `llmctx notary` make the key if
    there is none.

    --rotate replaces it while no worker and no notary runs: old and new key both sign a notice and a checkpoint in each
    partition, then the old private key is deleted. An auditor may verify with either vkey. If it is interrupted, run it
    again. docs/operations.md says what to do about a lost or stolen key.

    \b
    llmctx key
    llmctx key --make
    llmctx key --rotate
    """
    from llmctx.trail.log.instance import read_state_instance
    from llmctx.trail.proof.key import key_file

    if make and rotate:
        raise typer.BadParameter("name either --make or --rotate")
    settings = settings_for(redis_url, state_dir)
    directory = settings.state_dir
    instance = read_state_instance(directory)
    if instance is None:
        raise InstanceError(
            f"{directory} belongs to no trail yet.",
            "Name the right --state-dir, or record something first: `llmctx run` or `llmctx decide SYMBOL`.",
        )
    public = asyncio.run(_rotate(settings)) if rotate else _public_key(directory, instance.id, make=make)
    if as_json:
        file = str(key_file(directory, instance.id))
        print_json({"vkey": public.text, "name": public.name, "key_id": public.id.hex(), "file": file})
    else:
        out.print(escape(public.text))


def _public_key(directory: Path, instance: str, *, make: bool) -> "Key":
    from llmctx.trail.proof.key import has_public_key_alone, load_key, load_notary_key, make_key, read_public_key
    from llmctx.trail.proof.replaced import refuse_new_key

    is_public_alone = has_public_key_alone(directory, instance)
    if make:
        refuse_new_key(directory, instance)
        return (load_notary_key if is_public_alone else make_key)(directory, instance).key  # the first one refuses
    if is_public_alone and (public := read_public_key(directory, instance)) is not None:
        messages.note(f"The private key is not in {directory}: this state directory has joined, or has lost the key")
        return public
    return load_key(directory, instance).key


async def _rotate(settings: Settings) -> "Key":
    from llmctx.worker.rotate import rotate_instance_key

    async with redis_of(settings) as (redis, url):
        old, new = await rotate_instance_key(await home_of(settings, redis, url))
    messages.note(
        f"Key {new.id.hex()} replaces {old.id.hex()}. Give the new vkey to the auditors, keep a copy of the new "
        "private key in a safe place, and destroy the copies of the old one"
    )
    return new
