"""`python -m llmctx` is `llmctx`."""

from llmctx.cli import main

main()
