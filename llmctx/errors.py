"""The error family: each error says what happened and what to do next.

Expected outcomes (stale data, a refused decision, an unusable answer) are values, not errors; see
`context.section.Section.status` and `decision.guards.Verdict`.
"""

from pathlib import Path

from llmctx.limits import MAX_ERROR_CHARS, MAX_MESSAGE_CHARS, cut


class LlmctxError(Exception):
    """The base of all errors of llmctx; the text names the key, field or file, and the next step."""

    exit_code = 2
    """The exit code of the command line: 2 misuse or unusable input, 3 a required server or state is unavailable."""

    def __init__(self, what: str, do: str, *, exit_code: int | None = None) -> None:
        what, do = cut(what, MAX_MESSAGE_CHARS), cut(do, MAX_MESSAGE_CHARS)
        self.what = what
        self.do = do
        self.exit_code = self.exit_code if exit_code is None else exit_code
        super().__init__(f"{what}\n  what to do: {do}")


def in_short(error: BaseException) -> str:
    """An unexpected error in one line of at most 300 characters, safe to put into a record."""
    try:
        text = f"{type(error).__name__}: {error}"
    except Exception:  # noqa: BLE001  an error's own text may be what is broken
        text = type(error).__name__
    line = " ".join(text[:MAX_ERROR_CHARS].split())
    return line.encode("utf-8", "replace").decode()


class SchemaError(LlmctxError):
    """An invalid symbol, or an unknown key."""


class SnapshotError(LlmctxError):
    """Redis could not be read."""

    exit_code = 3


class TemplateError(LlmctxError):
    """A prompt template is missing or malformed, or refers to something a package does not have."""


class OutputSizeError(TemplateError):
    """A template renders to too many characters."""

    def __init__(self, where: str, limit: int) -> None:
        what = f"{where}: renders to more than {limit} characters."
        super().__init__(what, "Correct the template, or set another with --prompt NAME.")


class JudgingError(LlmctxError):
    """Checking an answer takes more steps than any honest answer needs."""

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"Checking the answer takes more than {limit} steps.",
            "Read the answer in the record: it is far longer, or has far more numbers, than it was asked for.",
        )


class EndpointError(LlmctxError):
    """No LLM endpoint is configured, or it cannot be used at all."""

    exit_code = 3


class AlertError(LlmctxError):
    """An alert could not be delivered."""

    exit_code = 1

    def __init__(self, why: str, *, may_pass: bool = False) -> None:
        self.may_pass = may_pass
        super().__init__(
            f"An alert could not be delivered: {why}.", "See [alerts] in llmctx.toml; try it: llmctx alerts --test."
        )


class TrailError(LlmctxError):
    """The audit trail cannot be read or written."""

    exit_code = 3


class BrokenStepError(TrailError):
    """A step broke off with an error that nobody foresaw."""


class LeaseError(TrailError):
    """Another owner holds the partition now; nothing was written."""


class RequestError(TrailError):
    """The owner of a partition did not do what was requested."""


class UnsettledError(TrailError):
    """A tick was not settled in time; it stays raised."""

    def __init__(self, tick: str, timeout_s: float) -> None:
        do = "It stays raised. Check that `llmctx run` is running: `llmctx status` shows owner and backlog."
        super().__init__(f"The tick {tick} was not settled within {timeout_s:g} s.", do)


class NewerFormatError(TrailError):
    """A newer version has written the partition; nothing was written."""

    def __init__(self, partition: int, there: int, version: str, here: int) -> None:
        super().__init__(
            f"Partition {partition} was continued by llmctx {version} in record format {there}; this version writes "
            f"format {here} and must not append to it.",
            f"Run llmctx {version} or newer. docs/operations.md says how to go back to this version. If no newer one "
            f"ever ran here, somebody else wrote that: HSET audit:{{{partition}}}:lease format {here}, and see who may "
            "write (docs/threat-model.md).",
        )


class SettledError(TrailError):
    """Another record has settled a conflated tick already; nothing was written."""


class TickMapError(TrailError):
    """The map of ticks names a record that does not settle the tick."""

    def __init__(self, tick: str, key: str, index: int) -> None:
        self.index = index
        """The index that the map names."""
        what = f"{key} has tick {tick} at {index}, but no such record settles it."
        super().__init__(what, "The owner corrects it and records the tick.")


class BehindError(TrailError):
    """Redis has lost records that this owner wrote; nothing was written."""


class SpoolError(TrailError):
    """The spool cannot be read or written."""


class InstanceError(TrailError):
    """Redis and the state directory belong to different instances."""


class ClockError(TrailError):
    """The setting `clock` contradicts the clock of the trail."""

    exit_code = 2

    def __init__(self, setting: str, trail_clock: str) -> None:
        super().__init__(
            f"The setting clock is {setting}, but the trail has had the clock {trail_clock} from its first decisions.",
            "Unset LLMCTX_CLOCK (or clock in llmctx.toml); or start another trail, on another server or database.",
        )


class AnchorError(TrailError):
    """The anchor outside Redis cannot be read or written."""


class AnchorBusyError(AnchorError):
    """Another process is appending to the anchor."""


class UnreadableRecordError(LlmctxError):
    """Readers would refuse a record, so it is not appended."""


class RecordFormError(UnreadableRecordError):
    """A record lacks the form that readers require."""

    def __init__(self, expected: str, found: str) -> None:
        super().__init__(f"A record must have {expected}, not {found}.", "Report this as a defect.")


class RecordSizeError(UnreadableRecordError):
    """A record is larger than readers can unpack."""

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(
            f"A record of {size} bytes is larger than the limit of {limit}.",
            "See which evidence is large: the values of the live keys, the prompt, or the response.",
        )


class ForkError(TrailError):
    """A partition has two histories: one index has two leaf hashes."""

    exit_code = 1

    def __init__(self, index: int, where: str, there: str, other: str) -> None:
        self.index = index
        super().__init__(
            f"A fork at index {index}: the {where} has the leaf hash {there}, but the new one is {other}.",
            "Stop writing. Keep Redis and the state directory unchanged, and find out which history is genuine: "
            "`llmctx verify`.",
        )


class CheckpointError(TrailError):
    """A malformed checkpoint or key, or a signature that does not match."""

    exit_code = 1

    def __init__(self, why: str) -> None:
        self.why = why
        super().__init__(f"A checkpoint cannot be used: {why}.", "audit/README.md describes the form of a checkpoint.")


class ReceiptError(TrailError):
    """A receipt is malformed, or cannot be made yet."""


class ExportError(TrailError):
    """A folder cannot be exported to, or does not contain an export."""

    exit_code = 2


class ArchiveError(TrailError):
    """An archive cannot be written, read or believed."""

    exit_code = 2


class AddressError(TrailError):
    """A text is not the address of a record, or names one that does not exist."""

    exit_code = 2


class KeyFileError(TrailError):
    """A key file is missing or unusable."""


class JoinError(TrailError):
    """A request to join a trail, or its grant, is malformed or belongs to another trail."""

    exit_code = 2


class NotJoinedError(KeyFileError):
    """A state directory writes to a trail whose instance key has not enrolled its writer key; nothing was written."""

    why = "the instance key has not enrolled the writer key of this state directory"

    def __init__(self, state_dir: Path) -> None:
        super().__init__(
            f"{state_dir} may not write to this trail: {self.why}.",
            "Run `llmctx join` with this --state-dir; it prints what to do where the instance key is.",
        )


class FeedError(LlmctxError):
    """Bars or headlines cannot be read or are malformed."""


class ServerError(LlmctxError):
    """A Redis or Valkey server does not answer or cannot be started."""

    exit_code = 3


class CorpusError(LlmctxError):
    """A file of recorded decisions is malformed or was changed."""


class ReplayError(LlmctxError):
    """A replay request is not possible, or its results cannot be read."""


class MissingCompletionError(LlmctxError):
    """No completion is recorded for a request that a test makes."""


class BackupError(LlmctxError):
    """A folder is no backup, or a backup is damaged or does not fit."""


class MaintenanceError(LlmctxError):
    """Maintenance cannot run now."""


class QueryError(LlmctxError):
    """A query is unknown or malformed, or it failed."""


class BudgetError(LlmctxError):
    """A budget is used up, or cannot be kept."""


class ConsoleError(LlmctxError):
    """The console cannot be opened or served as requested."""
