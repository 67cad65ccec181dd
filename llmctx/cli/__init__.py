"""The command line: parse, call one library function, print, end with an exit code."""

import os
import sys

from llmctx.errors import LlmctxError


def main() -> None:
    """Run `llmctx`; the only place that turns an error into an exit code."""
    from llmctx.cli.app import app
    from llmctx.cli.output import complain

    try:
        app(prog_name="llmctx", standalone_mode=True)
    except LlmctxError as error:
        complain(error)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # Whoever read our output has seen enough; nothing more may be written, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
