"""`llmctx key`: the notary's public key."""

from typing import Annotated

import typer

from llmctx.cli.shared.options import AsJson, StateDir
from llmctx.cli.shared.output import escape, out, print_json
from llmctx.cli.shared.setup import settings_for
from llmctx.errors import InstanceError


def key(
    make: Annotated[bool, typer.Option("--make", help="Make the key. An existing key is never overwritten.")] = False,
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """Print the public key that checkpoints are verified with.

    Give this line (the vkey) to the auditor over a separate channel: a key that comes with the records proves nothing.
    The private half is in STATE_DIR/keys, readable by its owner alone. `llmctx run` and `llmctx notary` make the key if
    there is none.

    \b
    llmctx key
    llmctx key --make
    """
    from llmctx.trail.log.instance import read_state_instance
    from llmctx.trail.proof.key import key_file, load_key, make_key

    directory = settings_for(None, state_dir).state_dir
    instance = read_state_instance(directory)
    if instance is None:
        raise InstanceError(
            f"{directory} belongs to no trail yet.",
            "Name the right --state-dir, or record something first: `llmctx run` or `llmctx decide SYMBOL`.",
        )
    public = (make_key if make else load_key)(directory, instance.id).key
    if as_json:
        file = str(key_file(directory, instance.id))
        print_json({"vkey": public.text, "name": public.name, "key_id": public.id.hex(), "file": file})
    else:
        out.print(escape(public.text))
