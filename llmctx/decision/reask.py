"""Asking once more: what a model is told of an answer whose prices do not stand in the facts.

A pure function of the first prompt, the first answer and its grounding, so that a record that keeps the messages as
sent keeps the first answer word for word, and replay builds the second question again.
"""

from llmctx import canonical
from llmctx.decision.grounding import Grounding
from llmctx.prompt import untrusted
from llmctx.prompt.render import Message, Prompt


def ask_again(prompt: Prompt, answer: str, grounding: Grounding) -> Prompt:
    """The prompt, the answer that it got, and what in that answer does not stand in the facts."""
    messages = (*prompt.messages, Message("assistant", answer), Message("user", correction(grounding)))
    evidence = canonical.dumps([message._asdict() for message in messages])
    return prompt.model_copy(update={"messages": messages, "evidence": evidence})


def correction(grounding: Grounding) -> str:
    """What the model is told."""
    lines = [
        f"- evidence {untrusted.quoted(item.path)} = {untrusted.quoted(item.value)}: {item.why}"
        + _nearest(item.nearest, item.fact)
        for item in grounding.miscited
    ]
    lines += [
        f"- {untrusted.quoted(item.text)} in {item.field}: nothing supports it" + _nearest(item.nearest, item.fact)
        for item in grounding.unsupported
    ]
    return "\n".join(
        [
            "Your answer states what does not stand in the facts above:",
            "",
            *lines,
            "",
            "Answer once more, in full and in the same form. Use only numbers that stand in the facts or follow from",
            "them. Where your decision stood on one of these, decide anew.",
        ]
    )


def _nearest(path: str | None, fact: str | None) -> str:
    return "" if path is None else f"; nearest is {untrusted.path(path)}, which says {untrusted.quoted(fact or '')}"
