"""An exit that is decided again because the position is still open."""

from typing import NamedTuple

from llmctx import clock
from llmctx.context.package import Package
from llmctx.decision.decision import Action
from llmctx.decision.mandate.case import ledger_at
from llmctx.decision.mandate.mandate import Mandate


class Repeat(NamedTuple):
    """The earlier exit."""

    address: str
    """The record of the first one."""
    again_ms: int | None = None
    """When the exit is published again, in milliseconds, if it is too early now; None if it is published now."""
    wait: str = ""
    """The same in words."""


def repeated_exit(package: Package, mandate: Mandate) -> Repeat | None:
    """The exit that a package's position is still waiting for; None if the verdict is the first one.

    An error in here must not cost the exit: it is then published as a first one.
    """
    try:
        first = ledger_at(package).waiting(Action.EXIT)
        if first is None or not first.address:
            return None
        wait_ms = (mandate.limits_of(package.symbol, package.position.side).ack_timeout_s or 0) * 1000
        told_ms = first.again_ms or first.at_ms
        if abs(package.as_of_ms - told_ms) >= wait_ms:
            return Repeat(first.address)
        again_ms = told_ms + wait_ms
        wait = f"nothing is seen yet of the exit of record {first.address}; it is published again from"
        return Repeat(first.address, again_ms, f"{wait} {clock.iso(again_ms)}")
    except Exception:  # noqa: BLE001
        return None
