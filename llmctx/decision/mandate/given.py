"""A mandate as settings give it: only the limits that differ from the shipped ones, the account's at the top level."""

from typing import Any

from llmctx.decision.mandate.mandate import PRUDENT, Group, Limits, Mandate


def over_prudent(given: Any) -> Any:
    """The given limits merged over the shipped ones; `groups`, `symbols`, `shorts`, `by` and `why` stay as they are."""
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
    """A group in the form of `Mandate`: its own fields, and its symbols' limits apart from them."""
    own = {name: value for name, value in given.items() if name in Group.model_fields and name != "limits"}
    return own | {"limits": {name: value for name, value in given.items() if name not in own}}
