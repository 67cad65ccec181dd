"""Halts: while one is in force no new risk is taken and no model is asked. Exits stay possible."""

from llmctx import clock
from llmctx.context.package import Package
from llmctx.context.staleness import Status
from llmctx.decision.mandate.mandate import Mandate
from llmctx.limits import MAX_DETAIL_CHARS, cut
from llmctx.schema import values

HALTED = "halted"
"""The guardrail that enforces a halt."""
_RUNNING = "running"


def halt_in(package: Package, mandate: Mandate | None) -> str | None:
    """Why a package says halt; None if it does not.

    A halt key counts whatever its value is. The state of the system counts only under a mandate, because older records
    were made without that rule.
    """
    for key, said in package.halts.items():
        return cut(f"{key} is set: {said}", MAX_DETAIL_CHARS)
    system = package.sections["system"]
    if mandate is None or not isinstance(system.value, values.System) or system.value.state.lower() == _RUNNING:
        return None
    age = "" if system.status is Status.FRESH else f", {clock.in_words(system.age_ms or 0)} ago"
    return cut(f"{system.key} says {system.value.state!r}{age}", MAX_DETAIL_CHARS)
