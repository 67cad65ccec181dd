"""The one family of errors: what happened, and what to do next.

Expected outcomes (stale data, a refused decision, an unusable answer) are values, not errors; see
`context.package.Section.status` and `decision.guardrail.Verdict`.
"""


class LlmctxError(Exception):
    """Something llmctx cannot go on with; the text names the key, field or file and the next step."""

    exit_code = 2
    """What the command line ends with: 2 misuse or unusable input, 3 a needed server or state is not there."""

    def __init__(self, what: str, do: str, *, exit_code: int | None = None) -> None:
        self.what = what
        self.do = do
        self.exit_code = self.exit_code if exit_code is None else exit_code
        super().__init__(f"{what}\n  what to do: {do}")


class SchemaError(LlmctxError):
    """A symbol, key or value that the Redis schema does not know."""


class SnapshotError(LlmctxError):
    """Redis could not be read."""

    exit_code = 3


class TemplateError(LlmctxError):
    """A prompt template that is missing, malformed, or asks for what the package does not have."""


class EndpointError(LlmctxError):
    """No LLM endpoint is configured, or it cannot be used at all."""

    exit_code = 3


class TrailError(LlmctxError):
    """The audit trail cannot be read or written."""

    exit_code = 3


class RecordError(TrailError):
    """A record in the log that is none."""

    exit_code = 1

    def __init__(self, index: int, partition: int, why: str) -> None:
        self.index = index
        self.why = why
        super().__init__(
            f"Record {index} of partition {partition} cannot be read: {why}.",
            "`llmctx verify` names the first bad record.",
        )


class LeaseError(TrailError):
    """The partition belongs to another owner now; nothing was written."""


class SettledError(TrailError):
    """A conflated tick is settled already in another record; nothing was written."""


class InstanceError(TrailError):
    """Redis and the state directory belong to different instances."""


class FeedError(LlmctxError):
    """Bars or headlines that cannot be read."""


class ServerError(LlmctxError):
    """A Redis or Valkey server that is not there or cannot be started."""

    exit_code = 3


class CorpusError(LlmctxError):
    """A file of recorded decisions that is none, or whose bytes were changed."""
