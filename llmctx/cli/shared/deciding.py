"""The options of every command that makes decisions: server, state directory, prompt and model, declared once."""

from collections.abc import Callable
from functools import wraps
from inspect import Parameter, Signature, signature
from typing import Any

from llmctx.cli.shared.options import Endpoint, Model, PromptName, PromptsDir, RedisUrl, StateDir
from llmctx.cli.shared.setup import settings_for

OWNERS = ("prompt", "prompts", "endpoint", "model")
"""The options that a running owner of the partition would ignore, because it uses its own."""
_CHOSEN = "chosen"
_OPTIONS: dict[str, Any] = {
    "redis_url": RedisUrl,
    "state_dir": StateDir,
    "prompt": PromptName,
    "prompts": PromptsDir,
    "endpoint": Endpoint,
    "model": Model,
}


def decides(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command these options beside its own; its first parameter, `settings`, gets the settings they make.

    A parameter `chosen` gets those of `OWNERS` that were given on the command line, as they are typed.
    """
    _, *parameters = signature(command, eval_str=True).parameters.values()
    own = [parameter for parameter in parameters if parameter.name != _CHOSEN]
    shared = [Parameter(name, Parameter.KEYWORD_ONLY, default=None, annotation=of) for name, of in _OPTIONS.items()]
    required = [parameter for parameter in own if parameter.default is Parameter.empty]
    optional = [parameter for parameter in own if parameter.default is not Parameter.empty]
    shown = [parameter.replace(kind=Parameter.KEYWORD_ONLY) for parameter in (*required, *shared, *optional)]

    @wraps(command)
    def with_settings(**given: Any) -> None:
        shared_values = {name: given.pop(name, None) for name in _OPTIONS}
        if len(own) < len(parameters):
            given[_CHOSEN] = tuple(f"--{name}" for name in OWNERS if shared_values[name] is not None)
        command(settings_for(**shared_values), **given)

    # Typer reads a command's options from these two.
    with_settings.__dict__["__signature__"] = Signature(shown)
    with_settings.__annotations__ = {parameter.name: parameter.annotation for parameter in shown}
    return with_settings
