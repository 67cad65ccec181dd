"""Add the form of the answer to a rendered prompt.

It comes at the end of the system message: after everything that is the same for every tick, and before anything that
changes, so a provider's cache covers it. The form is recorded with the schema, so a rebuild adds the same.
"""

from functools import lru_cache

from llmctx import canonical
from llmctx.prompt.render import Message, Prompt

_SYSTEM = "system"
_GAP = "\n\n"


def add_form(prompt: Prompt, form: str) -> Prompt:
    """The prompt with a form at the end of its system message; the prompt itself if the form is empty."""
    if not form or prompt.messages[0].role != _SYSTEM:
        return prompt
    first, *others = prompt.messages
    messages = (Message(_SYSTEM, first.content + _GAP + form), *others)
    return prompt.model_copy(update={"messages": messages, "evidence": evidence_with(prompt, form)})


def evidence_with(prompt: Prompt, form: str) -> bytes:
    """The evidence of the prompt that `add_form` makes; the form is inserted into the existing bytes."""
    if not form or prompt.messages[0].role != _SYSTEM:
        return prompt.evidence
    end, addition = _addition(prompt.messages[0].content, form)
    return b"".join((prompt.evidence[:end], addition, prompt.evidence[end:]))


def remove_form(prompt: Prompt, form: str) -> Prompt:
    """The prompt without a form that `add_form` added."""
    first, *others = prompt.messages
    if not form or not first.content.endswith(_GAP + form):
        return prompt
    messages = (Message(first.role, first.content.removesuffix(_GAP + form)), *others)
    evidence = canonical.dumps([message._asdict() for message in messages])
    return prompt.model_copy(update={"messages": messages, "evidence": evidence})


@lru_cache(maxsize=16)
def _addition(system: str, form: str) -> tuple[int, bytes]:
    """The position in the evidence where the system message ends, and the text to insert."""
    written = canonical.dumps([{"content": system}])
    return len(written) - len(b'"}]'), canonical.dumps(_GAP + form)[1:-1]
