"""Options that several commands take."""

from pathlib import Path
from typing import Annotated

import typer

RedisUrl = Annotated[
    str | None,
    typer.Option(
        "--redis-url",
        help="The server, as redis://HOST:PORT/DB; embedded:DIR starts the embedded one on the data in DIR for as "
        "long as the command runs. Also LLMCTX_REDIS_URL; redis://127.0.0.1:6379/0 otherwise.",
        show_default=False,
    ),
]
StateDir = Annotated[
    Path | None,
    typer.Option(
        "--state-dir",
        help="Where the instance file, the anchor and the key lie. Also LLMCTX_STATE_DIR; ./var otherwise.",
        show_default=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
NewInstance = Annotated[
    bool,
    typer.Option("--new-instance", help="Start a new trail where the state directory belongs to another one."),
]
PromptName = Annotated[
    str | None,
    typer.Option(
        "--prompt",
        help="The prompt: NAME for its newest version, or NAME/vN. Also LLMCTX_PROMPT.",
        show_default=False,
    ),
]
PromptsDir = Annotated[
    Path | None,
    typer.Option(
        "--prompts",
        help="The folder with the prompts; the shipped ones otherwise.",
        show_default=False,
    ),
]
Endpoint = Annotated[
    str | None,
    typer.Option(
        "--endpoint",
        help="Base URL of the OpenAI-compatible endpoint. Also LLMCTX_LLM__BASE_URL.",
        show_default=False,
    ),
]
Model = Annotated[
    str | None,
    typer.Option("--model", help="The model to ask. Also LLMCTX_LLM__MODEL.", show_default=False),
]
