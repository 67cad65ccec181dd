"""Checks of the endpoint and the prompt, judging by the newest records."""

from llmctx.errors import TemplateError
from llmctx.llm.failures import MAX_CONSECUTIVE_FAILURES, FailureCount, failure_of
from llmctx.ops.doctor.finding import Finding, amber, green, red
from llmctx.ops.doctor.subject import Subject
from llmctx.prompt.template import load_template


async def calls(subject: Subject) -> Finding:
    """How many calls of the model failed in a row."""
    count = FailureCount()
    for entry in reversed(await subject.recent()):  # oldest first
        record = entry.record
        if (completion := record.get("completion")) is None:
            continue
        if record["kind"] == "failed":
            count.fail(failure_of(completion))
        else:
            count.succeed()
    if not count.calls:
        return amber("unknown: the newest records made no call", "Nobody would notice a dead endpoint.", _TRY)
    if count.in_a_row:
        finding = red if count.in_a_row >= MAX_CONSECUTIVE_FAILURES else amber
        what = f"the last {count.in_a_row} of {count.calls} failed: {count.last}"
        return finding(what, "The guardrails alone decide.", count.remedy)
    return green(f"{count.calls - count.failed} of the newest {count.calls} succeeded, the last one too")


_TRY = "Make one: `llmctx decide SYMBOL`."


async def templates(subject: Subject) -> Finding:
    """Whether the prompts of the newest records are those in the folder of prompts."""
    used = {
        (f"{prompt['template']}/v{prompt['version']}", prompt["template_sha256"])
        for entry in await subject.recent()
        if (prompt := entry.record.get("prompt")) is not None
    }
    consequence = "A version that was used once must stay as it is: what it says can no longer be compared by its name."
    for ref, digest in sorted(used):
        try:
            here = load_template(subject.places.prompts, ref).sha256
        except TemplateError as error:
            return amber(error.what, "The workers have other prompts than this host.", error.do)
        if here != digest:
            return red(
                f"{ref} was used with the digest {digest[:12]}, here it has {here[:12]}",
                consequence,
                "Put the file back (its source is a blob of the trail), and add a new version beside it.",
            )
    if not used:
        return amber("unknown: the newest records have no prompt", consequence, _TRY)
    return green(f"{', '.join(sorted(ref for ref, _ in used))}: unchanged since they were used")
