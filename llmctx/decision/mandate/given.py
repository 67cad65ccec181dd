"""A mandate as settings give it: what differs from the shipped limits, the account's beside the other fields."""

from typing import Any

from llmctx.decision.mandate.mandate import PRUDENT, Group, Limits, Mandate


def over_prudent(given: Any) -> Any:
    """The limits that are given, over the shipped ones; `groups`, `symbols`, `shorts`, `by` and `why` as they are."""
    if not isinstance(given, dict):
        return given
    others = {name: value for name, value in given.items() if name in Mandate.model_fields and name != "account"}
    account = {name: value for name, value in given.items() if name not in others}
    limits = Limits.model_validate(account)
    changes = {name: getattr(limits, name) for name in limits.model_fields_set}
    if "groups" in others:
        others["groups"] = {name: _group(group) for name, group in others["groups"].items()}
    return others | {"account": PRUDENT.model_copy(update=changes)}


def _group(given: dict[str, Any]) -> dict[str, Any]:
    """A group as `Mandate` has it: what it is, and the limits of its symbols apart from that."""
    own = {name: value for name, value in given.items() if name in Group.model_fields and name != "limits"}
    return own | {"limits": {name: value for name, value in given.items() if name not in own}}
