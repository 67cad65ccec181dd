"""The second request, which tells the model which statements of its first answer the facts do not support.

It is a pure function of the first prompt, the first answer and its grounding. The recorded messages thus contain the
first answer word for word, and a replay can build the second request again.
"""

from llmctx import canonical
from llmctx.decision.grounding import Grounding
from llmctx.prompt import untrusted
from llmctx.prompt.render import Message, Prompt


def ask_again(prompt: Prompt, answer: str, grounding: Grounding) -> Prompt:
    """Build the second request: the first prompt, the answer to it, and the correction."""
    messages = (*prompt.messages, Message("assistant", answer), Message("user", correction(grounding)))
    evidence = canonical.dumps([message._asdict() for message in messages])
    return prompt.model_copy(update={"messages": messages, "evidence": evidence})


def correction(grounding: Grounding) -> str:
    """Describe each unsupported statement and ask for another answer."""
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
