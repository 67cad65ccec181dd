"""The command line: parse, call one library function, print, end with an exit code."""

import io
import logging
import sys

from llmctx.errors import LlmctxError


def main() -> None:
    """Run `llmctx`; the only place that turns an error into an exit code."""
    from llmctx.cli.app import app
    from llmctx.cli.output import LogHandler, complain

    logging.basicConfig(level=logging.WARNING, handlers=[LogHandler()])
    logging.getLogger("llmctx").setLevel(logging.INFO)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # what is printed may be more than the terminal's ASCII
    try:
        app(prog_name="llmctx", standalone_mode=True)
    except LlmctxError as error:
        complain(error)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as error:  # what is read or written by a command itself: files, and the output
        complain(LlmctxError(f"{error}.", "See that the file or the output can be used."))
        sys.exit(2)
