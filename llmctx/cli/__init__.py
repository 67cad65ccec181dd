"""The command line: parse, call one library function, print, end with an exit code.

`commands` lists the commands, each in a file of its own in the folder of its task: `run`, `look`, `prove`, `iterate`,
`operate`. A command's file is imported when that command runs. All of them stand on `shared`.
"""

import io
import sys

from llmctx.errors import LlmctxError


def main() -> None:
    """Run `llmctx`. Only here does an error become a message and an exit code."""
    from llmctx.cli.app import UsageError, app

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # the terminal may know only ASCII
    try:
        code = app(prog_name="llmctx", standalone_mode=False)
    except UsageError as error:
        if "--json" in sys.argv:
            _report(LlmctxError(error.format_message(), "Add --help to see the command's arguments and options."))
        else:
            error.show()
        sys.exit(error.exit_code)
    except LlmctxError as error:
        _report(error)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as error:  # a file that the command itself reads or writes, or its output
        _report(LlmctxError(f"{error}.", "Check that the file exists and can be read or written."))
        sys.exit(2)
    except Exception as error:  # noqa: BLE001  a defect, of ours or of a library, is one sentence too
        sys.exit(_broken(error))
    sys.exit(code)


def _broken(error: Exception) -> int:
    """Report an error that nobody foresaw, and return the exit code."""
    from llmctx.errors import BrokenStepError, in_short
    from llmctx.worker.broken_step import DEFECT, log_traceback

    command = next((word for word in sys.argv[1:] if not word.startswith("-")), "")
    log_traceback(f"llmctx {command}", error)
    broken = BrokenStepError(f"`llmctx {command}` broke off: {in_short(error)}.", DEFECT)
    _report(broken)
    return broken.exit_code


def _report(error: LlmctxError) -> None:
    from llmctx.cli.shared.output import messages

    messages.error(error)
