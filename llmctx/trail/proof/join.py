"""How a second state directory becomes a writer of a trail: it asks, the instance key grants, it accepts.

A request names only the new writer key, and a grant holds nothing secret, so both may travel by any route. A grant is
checked against the trail's newest checkpoint before it is believed.
"""

import json
from pathlib import Path
from typing import Any

from llmctx import canonical
from llmctx.errors import CheckpointError, JoinError
from llmctx.trail.log.instance import Instance, join_instance, read_state_instance
from llmctx.trail.proof.checkpoint import Key, key_name_of, open_note
from llmctx.trail.proof.key import load_key, write_public_key
from llmctx.trail.proof.replaced import refuse_replaced
from llmctx.trail.proof.roster import grant
from llmctx.trail.proof.writer import KEY_ID, enrol, enrolment_text, load_or_make_writer, writer_name
from llmctx.trail.proof.writers_file import enrolled_lines

_FORMAT = "llmctx-grant/1"


def make_request(state_dir: Path, instance: Instance) -> str:
    """The request of a state directory: the vkey of its writer key, which is made if there is none.

    Raises KeyFileError if the key cannot be used.
    """
    return load_or_make_writer(state_dir, instance.id).key.text


def approve(state_dir: Path, request: str, retires: str = "") -> dict[str, Any]:
    """The grant for a request, by the instance key of this state directory, as JSON values.

    It may retire the writer key of an ID.

    Raises JoinError if the request is malformed or of another trail, KeyFileError if the key is not here.
    """
    instance = read_state_instance(state_dir)
    if instance is None:
        raise JoinError(f"{state_dir} belongs to no trail.", "Name the --state-dir that has the instance key.")
    try:
        writer = Key.read(request)
    except CheckpointError as error:
        raise JoinError(
            f"The request is malformed: {error.why}.", "Give the line that `llmctx join` printed."
        ) from error
    if retires and not KEY_ID.fullmatch(retires):
        raise JoinError(
            f"{retires[:80]!r} is not the ID of a writer key.", "Name the 8 hex digits between the two + in its vkey."
        )
    if writer.name != key_name_of(writer_name(instance.id)):
        raise JoinError(f"The request is about {writer.name}, not this trail.", "Name the right --state-dir.")
    signing = load_key(state_dir, instance.id)
    refuse_replaced(state_dir, instance.id)
    return {
        "format": _FORMAT,
        "instance": instance.id,
        "partitions": instance.partitions,
        "key": signing.key.text,
        "writer": writer.text,
        "signature": enrol(signing, writer, retires),
        "retires": retires,
        "enrolled": enrolled_lines(state_dir, instance.id),
    }


def accept(state_dir: Path, instance: Instance, text: str, checkpoint: str | None) -> Key:
    """Keep a grant, which binds the state directory to the instance; returns the instance's public key.

    `checkpoint` is the newest one in Redis, None if there is none. Raises JoinError if the grant is malformed, is for
    another writer or trail, or contradicts the checkpoint.
    """
    writer = load_or_make_writer(state_dir, instance.id).key
    try:
        document: dict[str, Any] = json.loads(text)
        key, signature = Key.read(document["key"]), canonical.from_base64(document["signature"])
        enrolled, retires = [str(line) for line in document["enrolled"]], str(document["retires"])
        is_for_us = (document["format"], document["writer"]) == (_FORMAT, writer.text)
        if not is_for_us or Instance(document["instance"], document["partitions"]) != instance:
            raise JoinError("The grant is for another state directory or another trail.", "Ask again: `llmctx join`.")
        signed = signature[: len(key.id)] == key.id and key.name == key_name_of(instance.id)
        if not signed or not key.accepts(enrolment_text(key.name, writer.text, retires), signature[len(key.id) :]):
            raise JoinError("The grant is not signed by the instance key that it names.", "Ask again: `llmctx join`.")
        if checkpoint is not None:
            open_note(checkpoint, key)
    except CheckpointError as error:
        why = f"The grant's key has not signed this trail: {error.why}."
        raise JoinError(why, "Ask whoever has the instance key: `llmctx join --approve`.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise JoinError(f"The grant is malformed: {error!r}.", "Give the line that --approve printed.") from error
    write_public_key(state_dir, instance.id, key)
    grant(state_dir, instance.id, writer, document["signature"], enrolled, retires)
    join_instance(state_dir, instance)
    return key
