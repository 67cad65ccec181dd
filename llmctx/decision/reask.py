"""The second request, which tells the model what was wrong with its first answer: unsupported statements, or the wrong
form.

It is a pure function of the first prompt, the first answer and what was wrong with it. So the recorded messages contain
the first answer word for word, and a replay can build the second request again.
"""

from llmctx import canonical
from llmctx.decision.grounding import Grounding
from llmctx.harmless import harmless
from llmctx.prompt import untrusted
from llmctx.prompt.render import Message, Prompt


def ask_again(prompt: Prompt, answer: str, wrong: Grounding | str) -> Prompt:
    """Build the second request: the first prompt, the answer to it, and the correction. `wrong` is a grounding with
    alarms, or the reason why the answer does not fit.
    """
    said = form_correction(wrong) if isinstance(wrong, str) else correction(wrong)
    messages = (*prompt.messages, Message("assistant", answer), Message("user", said))
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


def form_correction(misfit: str) -> str:
    """Quote why an answer does not fit, and ask for the same decision in the right form."""
    return (
        f"Your answer does not have the form that was asked for:\n\n{harmless(misfit)}\n\n"
        "Answer once more, in full: one JSON object of that form and nothing else. Keep your decision and correct its "
        "form."
    )
