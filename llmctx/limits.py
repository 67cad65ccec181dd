"""Every limit on what enters a record, in one table that writers and readers share; docs/limits.md explains them.

What is longer is cut, and says so with CUT, except a tick id, which must not be altered: that tick is a dead letter of
its stream entry.
"""

MAX_TICK_ID_CHARS = 200
"""A tick's id."""
MAX_EFFECT_ID_CHARS = 200
"""An effect's id, and an act's; a longer one is refused, because it must not be altered."""
MAX_EFFECT_BYTES = 16 * 1024
"""What the execution side says of one effect; more is not read."""
MAX_CONFIRMATION_BYTES = 16 * 1024
"""The price that a person confirms with a tick, with their name and reason; more is not read."""
MAX_REQUEST_BYTES = 1024 * 1024
"""A request to the owner of a partition: an act, a notice, what to trim; more is not read."""
MAX_SYMBOL_CHARS = 32
"""A symbol."""
MAX_CAUSE_CHARS = 200
"""Why a tick was raised."""
MAX_CONFLATED = 500
"""The ticks that one record settles besides its own."""
MAX_VALUE_BYTES = 256 * 1024
"""A live key's value; a larger one is not read, and its section is invalid."""
MAX_PACKAGE_BYTES = 4 * 1024 * 1024
"""All values of a package together; one that does not fit any more is not read, and its section is invalid."""
MAX_BODY_BYTES = 1024 * 1024
"""A decoded response body; a larger one is not kept."""
MAX_BODIES_BYTES = 64 * 1024 * 1024
"""The response bodies of more than 64 KiB that a process reads and judges at once; further ones wait."""
MAX_NUMBER_CHARS = 60
"""A number as it is written, in live values, answers, effects, bars and confirmations."""
MAX_EXPONENT = 30
"""A number lies between 10 to the power of minus this and of this."""
MAX_NAME_CHARS = 200
"""What an endpoint names: model, ids, fingerprint, tier, finish reason, x-request-id."""
MAX_ERROR_CHARS = 300
"""What is kept of an error's text."""
MAX_DETAIL_CHARS = 1000
"""Why a call has no answer, the model's refusal included."""
MAX_REASON_CHARS = 2000
"""A verdict's reason, and each guardrail's detail."""
MAX_REASONING_CHARS = 4000
"""A decision's reasoning."""
MAX_INVALIDATION_CHARS = 1000
"""A decision's invalidation."""
MAX_EVIDENCE_ITEMS = 50
"""The items of evidence of a decision."""
MAX_EVIDENCE_CHARS = 1000
"""The path, value and reading of an item of evidence, each."""
MAX_REASKED_CHARS = 20_000
"""The longest answer that does not fit and is sent back with a question about its form."""
MAX_JUDGING_STEPS = 250_000
"""The steps that checking one answer may take; an honest answer needs a few thousand, and a step about 1 µs."""
MAX_FINDING_CHARS = 120
"""Each text of a finding of the grounding."""
MAX_IMPLAUSIBLE_CHARS = 400
"""What a record says of one implausible thing about a section."""
MAX_BY_CHARS = 100
"""Who confirms a price, approves, overrides or annotates."""
MAX_WHY_CHARS = 1000
"""Why they do, and the reason of an effect."""
MAX_ADDRESS_CHARS = 40
"""The address of a record."""
MAX_PLACE_CHARS = 2000
"""Where something is: a key with its field, an endpoint's address, an archive; and a parameter of a request."""
MAX_PARAMETERS = 100
"""The further parameters and headers of a request, each."""
MAX_ATTEMPTS = 100
"""The requests on the wire for one call at one endpoint."""
MAX_ENDPOINTS = 20
"""The endpoints that are asked one after the other."""
MAX_PROMPTS = 200
"""The prompts that are asked with by symbol."""
MAX_PEOPLE = 1000
"""The people whom the settings name."""
MAX_FINDINGS = 500
"""The findings of each list of the grounding."""
MAX_IMPLAUSIBLE_ITEMS = 20
"""The implausible things that a record says of a section."""
MAX_TOML_BYTES = 1024 * 1024
"""A TOML file: llmctx.toml, a mandate, a file of users."""
MAX_MESSAGE_CHARS = 2000
"""Each part of an error's message."""
MAX_LEAF_BYTES = 4 * 1024 * 1024
"""A leaf; no larger one is appended, whatever is in it."""
MAX_RECORD_BYTES = 64 * 1024 * 1024
"""A whole record before it is compressed; no larger one is appended, and no reader unpacks one."""

CUT = "... (cut)"
"""What a text that was cut ends with; it has no digits, so no number is added to the text."""

_LONGEST_WORD = 60


def cut(text: str, limit: int) -> str:
    """A text of at most `limit` characters: the text itself, or its beginning up to a space, and CUT.

    Cutting between words keeps a number whole.
    """
    if len(text) <= limit:
        return text
    kept = text[: limit - len(CUT)]
    space = kept.rfind(" ", len(kept) - _LONGEST_WORD)
    return (kept if space < 1 else kept[:space]) + CUT
