"""The one family of errors: what happened, and what to do next.

Expected outcomes (stale data, a refused decision, an unusable answer) are values, not errors; see
`context.package.Section.status` and `decision.guards.Verdict`.
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


class NewerFormatError(TrailError):
    """A newer version has written the partition; nothing was written."""

    def __init__(self, partition: int, there: int, version: str, here: int) -> None:
        super().__init__(
            f"Partition {partition} was continued by llmctx {version} in record format {there}; this version writes "
            f"format {here} and must not append to it.",
            f"Run llmctx {version} or newer. docs/operations.md says how to go back to this version.",
        )


class SettledError(TrailError):
    """A conflated tick is settled already in another record; nothing was written."""


class BehindError(TrailError):
    """Redis has forgotten records that this owner knows of; nothing was written."""


class SpoolError(TrailError):
    """The spool cannot be read or written."""


class InstanceError(TrailError):
    """Redis and the state directory belong to different instances."""


class AnchorError(TrailError):
    """The anchor outside Redis cannot be read or written."""


class AnchorBusyError(AnchorError):
    """Another process appends to the anchor."""


class ForkError(TrailError):
    """Two histories of one partition: an index has two leaf hashes."""

    exit_code = 1

    def __init__(self, index: int, where: str, there: str, other: str) -> None:
        self.index = index
        super().__init__(
            f"A fork at index {index}: the {where} has the leaf hash {there}, but now it is to be {other}.",
            "Write nothing more. Keep Redis and the state directory as they are, and find out which is the true one: "
            "`llmctx verify`.",
        )


class CheckpointError(TrailError):
    """A checkpoint or a key that is none, or not signed by the key."""

    exit_code = 1

    def __init__(self, why: str) -> None:
        self.why = why
        super().__init__(f"A checkpoint cannot be used: {why}.", "audit/README.md states the form of a checkpoint.")


class ReceiptError(TrailError):
    """A receipt that is none, or that cannot be made yet."""


class ExportError(TrailError):
    """A folder that cannot be exported to, or that holds no export."""

    exit_code = 2


class AddressError(TrailError):
    """A text that is not the address of a record, or names one that does not exist."""

    exit_code = 2


class KeyFileError(TrailError):
    """A key file that is not there, or that cannot be used."""


class FeedError(LlmctxError):
    """Bars or headlines that cannot be read."""


class ServerError(LlmctxError):
    """A Redis or Valkey server that is not there or cannot be started."""

    exit_code = 3


class CorpusError(LlmctxError):
    """A file of recorded decisions that is none, or whose bytes were changed."""


class ReplayError(LlmctxError):
    """A replay that cannot be asked for, or results that cannot be read."""


class MissingCompletionError(LlmctxError):
    """Nothing is recorded for a question that a test asks."""


class BudgetError(LlmctxError):
    """The live calls of a test run have taken all the tokens that they may."""
