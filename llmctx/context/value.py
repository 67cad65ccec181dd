"""A section's document as its typed value: a broken optional field, or a broken item, costs only itself."""

from types import NoneType
from typing import Any, NamedTuple, get_args, get_origin

from pydantic import BaseModel, RootModel, ValidationError

from llmctx.context import paths
from llmctx.context.finding import Finding
from llmctx.schema.annotations import alternatives, is_model
from llmctx.schema.values import Position

UNREADABLE = "unreadable"
"""The rule broken by a part that was left out."""
UNREADABLE_STOP = "unreadable_stop"
"""The rule broken by a position whose stop was left out."""

_MAX_ERRORS_SHOWN = 3
_MAX_ROUNDS = 3

Place = tuple[str | int, ...]
"""The path to a part of a document: names of fields and indices of items."""


class _Part(NamedTuple):
    """A part of a document that can be left out."""

    place: Place
    """Where it is."""
    may_be_null: bool
    """Whether null replaces it; otherwise it is removed from its list or table."""
    in_table: bool = False
    """Whether it is an entry of a table with names chosen by others."""


def read_value(name: str, model: type[BaseModel], document: Any) -> tuple[BaseModel, tuple[Finding, ...]]:
    """The typed value of a section's document, with a finding for each broken part that was left out.

    A field is left out if it may be null; a headline, a candidate or an entry of a table, such as a sector, always.
    Raises ValidationError if anything else is broken.
    """
    try:
        return model.model_validate(document), ()
    except ValidationError as error:
        if name == "thesis":
            raise  # llmctx writes it, so a broken one is not trusted in part
        value, findings = _without_broken(name, model, document, error)
    if isinstance(value, Position) and value.stop_loss is None and document.get("stop_loss"):  # 0 and "" are none
        findings += (Finding(UNREADABLE_STOP, "position.stop_loss cannot be read, so it is unknown where the stop is"),)
    return value, findings


def _without_broken(
    name: str, model: type[BaseModel], document: Any, first: ValidationError
) -> tuple[BaseModel, tuple[Finding, ...]]:
    error, reasons = first, list[str]()
    for _ in range(_MAX_ROUNDS):  # the rule of an object may fail once its fields are sound
        broken: dict[_Part, str] = {}
        for problem in error.errors(include_url=False, include_input=False):
            part = _part_to_leave_out(model, problem["loc"])
            if part is None:
                raise first
            broken.setdefault(part, _reason(name, part, problem))
        reasons += broken.values()
        document = _pruned(document, (), {part.place: part.may_be_null for part in broken})
        try:
            return model.model_validate(document), (Finding(UNREADABLE, _said(reasons)),)
        except ValidationError as again:
            error = again
    raise first


def _part_to_leave_out(model: type[BaseModel], place: Place) -> _Part | None:
    """The innermost part on the path to `place` that can be left out; None if there is none."""
    found: _Part | None = None
    kinds: list[Any] = [model]
    for depth, step in enumerate(place, start=1):
        named: list[Any] = []
        inside: list[Any] = []
        for kind in kinds:
            for each in alternatives(kind.model_fields["root"].annotation) if _is_root(kind) else [kind]:
                if isinstance(step, str) and is_model(each) and step in each.model_fields:
                    named += alternatives(each.model_fields[step].annotation)
                elif get_origin(each) in (list, dict):
                    inside += alternatives(get_args(each)[-1])
        kinds = [*named, *inside]
        if NoneType in named:
            found = _Part(place[:depth], may_be_null=True)
        elif (isinstance(step, str) and inside) or any(is_model(kind) for kind in inside):
            found = _Part(place[:depth], may_be_null=False, in_table=isinstance(step, str))
    return found


def _is_root(kind: Any) -> bool:
    return is_model(kind) and issubclass(kind, RootModel)


def _pruned(document: Any, here: Place, broken: dict[Place, bool]) -> Any:
    """The document without its broken parts: replaced by null (True), or removed (False)."""
    steps: list[tuple[Any, Any]]
    if isinstance(document, dict):
        absent = [place[-1] for place in broken if place[:-1] == here and place[-1] not in document]
        steps = list((document | dict.fromkeys(absent)).items())
    elif isinstance(document, list):
        steps = list(enumerate(document))
    else:
        return document
    kept = {
        step: None if (*here, step) in broken else _pruned(item, (*here, step), broken)
        for step, item in steps
        if broken.get((*here, step), True)
    }
    return kept if isinstance(document, dict) else list(kept.values())


def _reason(name: str, part: _Part, problem: Any) -> str:
    """What is wrong with a part, without quoting its text: a prompt shows this outside quotes."""
    rule = "is missing" if problem["type"] == "missing" else problem["msg"].partition(":")[0]
    if part.in_table:
        return f"an entry of {_path(name, part.place[:-1])} {rule}"
    return f"{_path(name, problem['loc'])} {rule}"


def _said(reasons: list[str]) -> str:
    shown = ", ".join(reasons[:_MAX_ERRORS_SHOWN])
    more = len(reasons) - _MAX_ERRORS_SHOWN
    return f"left out as unreadable: {shown}" + (f", and {more} more" if more > 0 else "")


def _path(name: str, place: Place) -> str:
    path = paths.root(name)
    for step in place:
        path = f"{path}[{step}]" if isinstance(step, int) else paths.child(path, step)
    return path


def explain(error: ValidationError) -> str:
    """Say what is wrong with a value: each field and the rule it breaks, the first three of them."""
    problems = [_explain_one(problem) for problem in error.errors(include_url=False)]
    more = len(problems) - _MAX_ERRORS_SHOWN
    return "; ".join(problems[:_MAX_ERRORS_SHOWN]) + (f"; and {more} more" if more > 0 else "")


def _explain_one(problem: Any) -> str:
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in problem["loc"]).lstrip(".")
    return f"{path} {_rule(problem)}" if path else _rule(problem)


def _rule(problem: Any) -> str:
    return "is missing" if problem["type"] == "missing" else str(problem["msg"])
