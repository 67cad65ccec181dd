"""The command about the notary's key: key."""

from pathlib import Path
from typing import Annotated

import typer

from llmctx.cli.options import AsJson, StateDir
from llmctx.cli.output import escape, out, print_json
from llmctx.cli.setup import settings_for
from llmctx.errors import InstanceError
from llmctx.trail.log.instance import read_state_instance


def key(
    make: Annotated[bool, typer.Option("--make", help="Make the key; one that is there is never overwritten.")] = False,
    state_dir: StateDir = None,
    as_json: AsJson = False,
) -> None:
    """Print the key that checkpoints are checked with.

    Give that line (the vkey) to whoever audits, on a way of its own: a key that comes with the records proves
    nothing. The private half lies in STATE_DIR/keys, readable by its owner alone; `llmctx run` and `llmctx notary`
    make it where there is none.

    \b
    llmctx key
    llmctx key --make
    """
    from llmctx.trail.proof.key import key_file, load_key, make_key

    directory = settings_for(None, state_dir).state_dir
    instance = instance_of(directory)
    public = (make_key if make else load_key)(directory, instance).key
    if as_json:
        file = str(key_file(directory, instance))
        print_json({"vkey": public.text, "name": public.name, "key_id": public.id.hex(), "file": file})
        return
    out.print(escape(public.text))


def instance_of(state_dir: Path) -> str:
    """The id of the instance that a state directory belongs to.

    Raises InstanceError where it has none.
    """
    instance = read_state_instance(state_dir)
    if instance is None:
        raise InstanceError(
            f"{state_dir} belongs to no trail yet.",
            "Name the right --state-dir, or record something first: `llmctx run` or `llmctx decide SYMBOL`.",
        )
    return instance.id
