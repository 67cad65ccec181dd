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
    quoted = untrusted.quoted
    lines = [
        f"- {quoted(item.text)} in {item.field}: {item.why}; {untrusted.path(item.citation)}"
        + (" is not there" if item.fact is None else f" is {item.fact}")
        for item in (*grounding.miscited, *grounding.false_prices)
    ]
    return "\n".join(
        [
            "Your answer states what does not stand in the facts above:",
            "",
            *lines,
            "",
            "Answer once more, in full and in the same form. Put the path of the fact in square brackets behind each",
            "number that you take from one. Where your decision stood on one of these, decide anew.",
        ]
    )
