"""What an answer must look like: its JSON schema, with and without bounds, and how a prompt describes it.

An endpoint is asked for one variant of it, which its profile names; the variant is the blob that a record names as
`schema_sha256`, so the description that stood in the messages is kept word for word.
"""

from functools import cached_property
from typing import Any, Literal, NamedTuple

from llmctx import canonical
from llmctx.llm.form import brief, full
from llmctx.llm.mode import BOUNDED, SENDS_SCHEMA, Mode

Form = Literal["brief", "full"]

_BOUNDS = {"minLength", "maxLength", "minItems", "maxItems", "minimum", "maximum", "exclusiveMinimum"}
"""The keywords that not every strict endpoint accepts."""


class AskedOutput(NamedTuple):
    """One variant of an output, as requested from one endpoint."""

    name: str
    """Its name, as in a template's front matter."""
    schema: dict[str, Any]
    """The schema that is sent or, if none is sent, the one that the messages describe."""
    form: str
    """The description at the end of the system message; empty if nothing was added to the messages."""

    @property
    def bundle(self) -> bytes:
        """The variant as one blob."""
        document = {"name": self.name, "schema": self.schema}
        return canonical.dumps(document | {"form": self.form} if self.form else document)


class OutputSchema:
    """The JSON schema that an answer must fit."""

    def __init__(
        self, name: str, bounded: dict[str, Any], *, example: dict[str, Any] | None = None, form: str | None = None
    ) -> None:
        """`bounded` has every bound; `example` is an answer that fits it. `form` replaces every description."""
        self.name = name
        self.bounded = bounded
        self._example = example
        self._form = form
        self._asked: dict[tuple[Mode, Form], AskedOutput] = {}

    @cached_property
    def schema(self) -> dict[str, Any]:
        """The schema without bounds, in the form that every strict endpoint takes."""
        without: dict[str, Any] = _without_bounds(self.bounded)
        return without

    def asked(self, mode: Mode = Mode.SCHEMA, form: Form = "brief") -> AskedOutput:
        """The variant requested in this mode; if no schema is sent, the form is always described in full."""
        if (mode, form) not in self._asked:
            schema = self.bounded if mode in BOUNDED else self.schema
            text = self._form
            if text is None and form == "brief" and mode in SENDS_SCHEMA:
                text = brief(self.bounded)
            elif text is None:
                text = full(self.bounded, self._example, tool=self.name if mode is Mode.TOOL else None)
            self._asked[mode, form] = AskedOutput(self.name, schema, text)
        return self._asked[mode, form]

    @cached_property
    def variants(self) -> frozenset[str]:
        """The digests of every variant that an endpoint may be asked for, and of the output alone."""
        forms: tuple[Form, ...] = ("brief", "full")
        asked = (self.asked(mode, form) for mode in Mode for form in forms)
        return frozenset({self.sha256, *(canonical.sha256(variant.bundle) for variant in asked)})

    @cached_property
    def bundle(self) -> bytes:
        """The output alone as one blob: what a request names whose messages hold no form."""
        return AskedOutput(self.name, self.schema, "").bundle

    @cached_property
    def sha256(self) -> str:
        """The digest of that blob."""
        return canonical.sha256(self.bundle)


def fields_for(asked: AskedOutput, mode: Mode) -> dict[str, Any]:
    """Return the fields of a request's body that ask for this output."""
    match mode:
        case Mode.SCHEMA | Mode.SCHEMA_BOUNDED:
            schema = {"name": asked.name, "strict": True, "schema": asked.schema}
            return {"response_format": {"type": "json_schema", "json_schema": schema}}
        case Mode.JSON_OBJECT:
            return {"response_format": {"type": "json_object"}}
        case Mode.TOOL:
            what = {"name": asked.name, "description": "Give the answer.", "parameters": asked.schema}
            return {"tools": [{"type": "function", "function": what}], "tool_choice": "required"}
        case Mode.PROMPTED:
            return {}


def _without_bounds(node: Any) -> Any:
    if isinstance(node, list):
        return [_without_bounds(item) for item in node]
    if not isinstance(node, dict):
        return node
    if "properties" in node:  # the properties' names are not keywords
        properties = {name: _without_bounds(item) for name, item in node["properties"].items()}
        return {name: _without_bounds(item) for name, item in node.items()} | {"properties": properties}
    return {name: _without_bounds(item) for name, item in node.items() if name not in _BOUNDS}
