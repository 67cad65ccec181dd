"""`--mandate FILE`: another mandate than the one in the settings; and the changes that limits made, in words."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from llmctx.decision.mandate.given import over_prudent
from llmctx.decision.mandate.mandate import Mandate
from llmctx.errors import LlmctxError
from llmctx.replay.limit_changes import LimitChange
from llmctx.toml_file import read_toml

MandateFile = Annotated[
    Path | None,
    typer.Option("--mandate", metavar="FILE", help="Judge by the mandate in this file, written as in llmctx.toml."),
]


def read_mandate(path: Path) -> Mandate:
    """The mandate in a TOML file: its table [mandate], or the whole file. What it leaves out keeps its default.

    Raises LlmctxError if the file cannot be read, or is malformed.
    """
    remedy = "Write it as the table [mandate] of llmctx.toml; docs/mandate.md shows one."
    try:
        found = read_toml(path)
        return Mandate.model_validate(over_prudent(found.get("mandate", found)))
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(str(part) for part in problem["loc"])
        raise LlmctxError(f"The mandate {path} is malformed: {place}: {problem['msg']}.", remedy) from error
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise LlmctxError(f"The mandate {path} cannot be read: {error}.", remedy) from error


def limit_lines(limits: Iterable[LimitChange]) -> list[str]:
    """The changes that each limit made, one on each line."""
    return [
        f"{limit.rule}: reached {limit.a} times on the first side, {limit.b} on the second"
        + "".join(f"; {change} ({count})" for change, count in limit.instead.items())
        for limit in limits
    ]
