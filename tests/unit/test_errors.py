import importlib
import pkgutil
from collections.abc import Iterator

import pytest

import llmctx
from llmctx import errors
from llmctx.errors import LlmctxError


def family(of: type[LlmctxError]) -> Iterator[type[LlmctxError]]:
    yield of
    for child in of.__subclasses__():
        yield from family(child)


def everyone() -> list[type[LlmctxError]]:
    for module in pkgutil.walk_packages(llmctx.__path__, "llmctx."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    return [error for error in dict.fromkeys(family(LlmctxError)) if error.__module__.startswith("llmctx")]


FAMILY = everyone()
COMPOSED = {
    errors.AlertError, errors.ClockError, errors.JudgingError, errors.OutputSizeError, errors.TickMapError,
    errors.ForkError, errors.CheckpointError, errors.NewerFormatError, errors.RecordFormError, errors.RecordSizeError,
    errors.NotJoinedError, errors.UnsettledError,
}  # fmt: skip
"""Errors that compose their message from its parts."""
PLAIN = [error for error in FAMILY if error not in COMPOSED]


def test_the_family_is_found() -> None:
    assert {errors.SchemaError, errors.SnapshotError, errors.TemplateError, errors.LeaseError} < set(FAMILY)


def test_the_name_ends_in_error() -> None:
    for error in FAMILY:
        assert error.__name__.endswith("Error")


def test_the_message_says_what_happened_and_what_to_do() -> None:
    for error in PLAIN:
        assert str(error("AAPL is gone.", "Bring it back.")) == "AAPL is gone.\n  what to do: Bring it back."


def test_both_parts_can_be_asked_for() -> None:
    for error in PLAIN:
        raised = error("AAPL is gone.", "Bring it back.")
        assert (raised.what, raised.do) == ("AAPL is gone.", "Bring it back.")


def test_the_exit_code_is_misuse_or_a_missing_server() -> None:
    for error in PLAIN:
        assert error.exit_code in (2, 3)


def test_a_fork_and_a_bad_checkpoint_are_failed_checks() -> None:
    fork = errors.ForkError(7, "anchor var", "aa", "bb")
    assert (fork.index, fork.exit_code) == (7, 1)
    assert fork.what == "A fork at index 7: the anchor var has the leaf hash aa, but the new one is bb."
    bad = errors.CheckpointError("its size is no number")
    assert (bad.exit_code, bad.what) == (1, "A checkpoint cannot be used: its size is no number.")


def test_every_error_says_in_a_line_what_it_is() -> None:
    for error in FAMILY:
        assert error.__dict__["__doc__"]


def test_every_error_lives_in_the_one_file() -> None:
    for error in FAMILY:
        assert error.__module__ == "llmctx.errors"


@pytest.mark.parametrize(
    "error", [errors.SnapshotError, errors.EndpointError, errors.TrailError, errors.InstanceError, errors.ServerError]
)
def test_what_needs_a_server_or_its_state_ends_with_3(error: type[LlmctxError]) -> None:
    assert error.exit_code == 3


@pytest.mark.parametrize("error", [LlmctxError, errors.SchemaError, errors.TemplateError, errors.FeedError])
def test_unusable_input_ends_with_2(error: type[LlmctxError]) -> None:
    assert error.exit_code == 2


@pytest.mark.parametrize("error", [errors.LeaseError, errors.SettledError, errors.InstanceError])
def test_whoever_catches_trail_errors_catches_its_children(error: type[LlmctxError]) -> None:
    assert issubclass(error, errors.TrailError)


def test_a_newer_format_names_both_formats_and_the_version_to_run() -> None:
    error = errors.NewerFormatError(3, 9, "0.9.0", 2)
    assert error.exit_code == 3
    assert error.what.startswith("Partition 3 was continued by llmctx 0.9.0 in record format 9;")
    assert "writes format 2" in error.what
    assert error.do.startswith("Run llmctx 0.9.0 or newer.")
